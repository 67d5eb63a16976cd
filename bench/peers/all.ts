/** Who takes part in `npm run bench`. */
import {fileURLToPath} from 'node:url';
import {CADDY} from './caddy.ts';
import {HAPROXY, HAPROXY_BARE, HAPROXY_STOCK} from './haproxy.ts';
import {NGINX, NGINX_BARE, NGINX_STOCK_BUFFERS} from './nginx.ts';
import {FAST_PROXY, HTTP_PROXY_3, NODE_RELAY, NODE_UNDICI} from './node-servers.ts';
import type {Peer} from './peer.ts';
import {createBareTorwart, createOneHost, createTorwart, createTwoThreads} from './torwart.ts';

const TREE = fileURLToPath(new URL('../..', import.meta.url));

/** In front of all peers: the first one that takes part in a scenario is compared with the others. */
export const SUBJECTS: readonly Peer[] = [createTwoThreads(TREE), createBareTorwart(TREE), createTorwart(TREE), createOneHost(TREE)];
export const PEERS: readonly Peer[] = [NGINX, NGINX_STOCK_BUFFERS, NGINX_BARE, HAPROXY, HAPROXY_STOCK, HAPROXY_BARE, CADDY, HTTP_PROXY_3, FAST_PROXY, NODE_UNDICI, NODE_RELAY];
