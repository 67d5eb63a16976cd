/** http-proxy-3 with a keep-alive agent and X-Forwarded-* fields; nothing else. */
import {Agent} from 'node:http';
import {createProxyServer} from 'http-proxy-3';
import {BACKEND_ORIGIN, listen} from './node-listener.ts';

const proxy = createProxyServer({target: BACKEND_ORIGIN, xfwd: true, agent: new Agent({keepAlive: true, maxFreeSockets: 1024})});
proxy.on('error', (_error, _request, response) => { response.destroy(); });

listen((request, response) => { proxy.web(request, response); })
  .on('upgrade', (request, socket, head) => { proxy.ws(request, socket, head); });
