/** Composition root of the thread in which a proxy thread has passwords checked. */
import {parentPort} from 'node:worker_threads';
import {verifyPassword} from '#src/proxy/verify-password.ts';
import type {PasswordQuestion} from '#src/proxy/password-checker.ts';

if (parentPort === null) throw new Error('password-worker.ts runs as a thread of torwart');
const asker = parentPort;

asker.on('message', ({password, hash}: PasswordQuestion) => {
  asker.postMessage(verifyPassword(password, hash));
});
