/** One certificate for all hosts of the bench, made anew for every run: ECDSA P-256, which is what certificate authorities issue today. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {generate} from 'selfsigned';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** Key and certificate in one file, as HAProxy reads it. */
  readonly bothFile: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export async function makeCertificate(directory: string, domain: string): Promise<Certificate> {
  const {cert, private: key} = await generate([{name: 'commonName', value: domain}], {
    keyType: 'ec', curve: 'P-256', algorithm: 'sha256',
    extensions: [{name: 'subjectAltName', altNames: [{type: 2, value: domain}, {type: 2, value: `*.${domain}`}]}],
  });
  const certificate = {
    certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem'), bothFile: join(directory, 'both.pem'), certPem: cert, keyPem: key,
  };
  writeFileSync(certificate.certFile, cert);
  writeFileSync(certificate.keyFile, key, {mode: 0o600});
  writeFileSync(certificate.bothFile, `${cert}\n${key}`, {mode: 0o600});
  return certificate;
}
