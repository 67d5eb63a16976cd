/** TLS to the servers of a pool. */
import {checked, type Finding} from '#src/config/checks.ts';
import {probeHost} from '#src/config/route-scalars.ts';
import {choice, filePath, presence, section} from '#src/config/scalars.ts';

interface TlsFacts {
  readonly ca?: unknown;
  readonly cert?: unknown;
  readonly key?: unknown;
  readonly insecure?: unknown;
}

export const tlsSection = checked(section({
  ca: filePath.optional().describe("PEM file of the authorities that the servers' certificates must descend from. Relative to this file. Default: the public ones that Node knows."),
  server_name: probeHost.optional().describe("The name that is asked for and that the servers' certificates must be for. Default: no name is asked for, and each certificate must be for its server's address."),
  cert: filePath.optional().describe('PEM file of the certificate that is shown to servers that ask for one, then its intermediates. Relative to this file.'),
  key: filePath.optional().describe('PEM file of its private key, without a passphrase. Relative to this file.'),
  min_version: choice('TLSv1.2', 'TLSv1.3').prefault('TLSv1.2').describe('Lowest version.'),
  insecure: presence.optional().describe('Believe whoever answers. `check` warns of it, and a metric reports it.'),
}), checkTls);

function checkTls({ca, cert, key, insecure}: TlsFacts): readonly Finding[] {
  const findings: Finding[] = [];
  if (cert !== undefined && key === undefined) findings.push({path: ['cert'], part: 'key', needs: [['key']], found: 'cert without a key', allowed: '`cert` and `key` together', remedy: 'add the key `key`'});
  if (key !== undefined && cert === undefined) findings.push({path: ['key'], part: 'key', needs: [['cert']], found: 'key without a certificate', allowed: '`cert` and `key` together', remedy: 'add the key `cert`'});
  if (ca !== undefined && insecure !== undefined) {
    findings.push({path: ['insecure'], part: 'key', needs: [], found: 'insecure together with ca', allowed: 'one of the two', remedy: 'remove `insecure`; what is not verified needs no `ca`'});
  }
  return findings;
}
