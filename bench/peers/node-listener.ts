/** What the proxies of the Node world have in common: the servers that they listen with. */
import {readFileSync} from 'node:fs';
import {createServer, type RequestListener, type Server} from 'node:http';
import {createServer as createTlsServer} from 'node:https';

const {HTTP_PORT, HTTPS_PORT, BACKEND_PORT, CERT, KEY} = process.env;

export const BACKEND_ORIGIN = `http://127.0.0.1:${BACKEND_PORT}`;

/** Returns the server of cleartext; another one listens for TLS where there is a certificate. */
export function listen(listener: RequestListener): Server {
  const options = {keepAliveTimeout: 75_000, noDelay: true};
  if (HTTPS_PORT !== undefined && CERT !== undefined && KEY !== undefined) {
    createTlsServer({...options, cert: readFileSync(CERT), key: readFileSync(KEY)}, listener).listen(Number(HTTPS_PORT), '127.0.0.1', 4096);
  }
  return createServer(options, listener).listen(Number(HTTP_PORT), '127.0.0.1', 4096);
}
