/** `node:http` in front, undici's `dispatch` behind: the shortest proxy that streams both ways and drops the hop-by-hop fields. */
import type {IncomingMessage, ServerResponse} from 'node:http';
import {Pool, type Dispatcher} from 'undici';
import {BACKEND_ORIGIN, listen} from './node-listener.ts';

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect']);

const pool = new Pool(BACKEND_ORIGIN, {connections: 1024, pipelining: 1, bodyTimeout: 60_000});

function endToEndFields(raw: readonly string[]): string[] {
  const fields: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!HOP_BY_HOP.has(name.toLowerCase())) fields.push(name, raw[at + 1] ?? '');
  }
  return fields;
}

/** The answer of the upstream, handed to the client as it comes. */
class Answer implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('close', () => {
      if (!this.#response.writableEnded) controller.abort(new Error('the client went away'));
    });
    this.#response.on('drain', () => controller.resume());
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const raw = controller.rawHeaders as readonly Buffer[];
    this.#response.writeHead(status, endToEndFields(raw.map(part => part.toString('latin1'))));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    this.#response.destroy();
  }
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
}

listen((request, response) => {
  const headers = endToEndFields(request.rawHeaders);
  headers.push('x-forwarded-for', request.socket.remoteAddress ?? '');
  pool.dispatch({
    path: request.url ?? '/', method: request.method ?? 'GET', headers, body: hasBody(request) ? request : null,
  }, new Answer(response));
});
