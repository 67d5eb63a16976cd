/** http-proxy-3 with a keep-alive agent and X-Forwarded-* fields; nothing else. */
import {readFileSync} from 'node:fs';
import {Agent, createServer, type RequestListener} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import {createProxyServer} from 'http-proxy-3';

const {HTTP_PORT, HTTPS_PORT, BACKEND_PORT, CERT, KEY} = process.env;

const proxy = createProxyServer({
  target: `http://127.0.0.1:${BACKEND_PORT}`, xfwd: true, agent: new Agent({keepAlive: true, maxFreeSockets: 1024}),
});
proxy.on('error', (_error, _request, response) => { response.destroy(); });

const listener: RequestListener = (request, response) => { proxy.web(request, response); };
const options = {keepAliveTimeout: 75_000, noDelay: true};
createServer(options, listener).listen(Number(HTTP_PORT), '127.0.0.1', 4096);
if (HTTPS_PORT !== undefined && CERT !== undefined && KEY !== undefined) {
  createTlsServer({...options, cert: readFileSync(CERT), key: readFileSync(KEY)}, listener).listen(Number(HTTPS_PORT), '127.0.0.1', 4096);
}
