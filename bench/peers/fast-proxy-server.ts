/** fast-proxy with the client that its documentation calls the faster one; nothing else. */
import fastProxy from 'fast-proxy';
import {BACKEND_ORIGIN, listen} from './node-listener.ts';

const forwarder = fastProxy({base: BACKEND_ORIGIN, undici: {connections: 1024, pipelining: 1}});

listen((request, response) => { forwarder.proxy(request, response, request.url ?? '/'); });
