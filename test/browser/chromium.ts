/** Debian's Chromium, remote-controlled, with a profile of its own, that can reach nothing but this machine. */
import {X509Certificate, createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {chromium, type Browser} from 'playwright-core';
import type {Scope} from '#test/support/proxy-harness.ts';

const PROGRAM = '/usr/bin/chromium';
/** On a busy machine a browser takes its time to start. */
const START_MS = 180_000;

/** The reason to skip, or false. */
export const MISSING = existsSync(PROGRAM) ? false : `${PROGRAM} is not there (Debian package chromium)`;

/** @param certificatePem trusted, whoever signed it */
export async function startChromium(scope: Scope, certificatePem: string): Promise<Browser> {
  const spki = new X509Certificate(certificatePem).publicKey.export({type: 'spki', format: 'der'});
  const server = await chromium.launchServer({
    executablePath: PROGRAM,
    timeout: START_MS,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      // Every name is this machine: nothing waits for a resolver that is not there.
      '--host-resolver-rules=MAP * 127.0.0.1', '--no-proxy-server',
      `--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`,
    ],
  });
  // Not asked to leave, which it may take its time for: ended, with all its processes.
  scope.after(() => server.kill());
  return chromium.connect(server.wsEndpoint(), {timeout: START_MS});
}
