/** WebSockets over HTTP/2 (RFC 8441): the client's side as frames. */
import type {TestContext} from 'node:test';
import type {CustomerSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {data, upload, type Fields} from '#test/http2/frames.ts';
import {PAIR, startStage as startHttp2Stage, type Stage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import type {UpstreamPeer, UpstreamRequest} from '#test/support/fake-upstream.ts';
import {HOST, Http2Client, type Http2Response} from '#test/support/http2-client.ts';
import {acme, certificate} from '#test/support/snapshots.ts';
import {WEBSOCKET, accept} from '#test/websocket/handshakes.ts';

export type {Stage};

const CONNECT: Readonly<Record<string, string>> = {
  ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':authority': HOST, ':path': '/ws', 'sec-websocket-version': '13',
};

/** Fields of a good handshake but for the changes; null leaves one out. */
export function connectFields(changes: Readonly<Record<string, string | null>> = {}): Fields {
  return Object.entries({...CONNECT, ...changes}).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
}

export function connect(streamId: number, changes: Readonly<Record<string, string | null>> = {}): Buffer {
  return upload(streamId, connectFields(changes));
}

/** The customer of the stage, as it stands after a reload. */
export function acmeOverTls(port: number, route: Partial<RouteSnapshot>): CustomerSnapshot {
  return {...acme([port], {route}), certificates: [certificate(PAIR, [HOST])]};
}

/** `acme.test` over TLS and in the clear, with WebSockets on every path. */
export async function startStage(context: TestContext, route: Partial<RouteSnapshot> = {}): Promise<Stage> {
  const stage = await startHttp2Stage(context, {acme: {route: {websocket: WEBSOCKET, ...route}}});
  stage.upstream.respond = accept;
  return stage;
}

export interface OpenStream {
  readonly client: Http2Client;
  readonly peer: UpstreamPeer;
  readonly request: UpstreamRequest;
  readonly answer: Http2Response;
  /** Bytes of the tunnel that the client has received. */
  readonly received: () => string;
  readonly send: (content: string | Buffer, flags?: number) => void;
}

/** A tunnel: what the peer has received after the handshake begins empty. */
export async function openStream(context: TestContext, {proxy, upstream}: Stage, streamId = 1, on?: Http2Client): Promise<OpenStream> {
  const client = on ?? await Http2Client.open(context, proxy);
  client.send(connect(streamId));
  const request = await upstream.nextRequest();
  await eventually('the handshake is answered', () => client.peek(streamId).status !== 0);
  request.peer.received = '';
  return {
    client, peer: request.peer, request, answer: client.peek(streamId),
    received: () => client.peek(streamId).body,
    send: (content, flags = 0) => { client.send(data(streamId, content, flags)); },
  };
}
