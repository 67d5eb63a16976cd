/** What the tests of gRPC share: HTTP/2 over TLS from the client, HTTP/2 in the clear to the application, both of them nghttp2's. */
import http2 from 'node:http2';
import type {TestContext} from 'node:test';
import {PAIR} from '#test/http2-edge/stage.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTPS, acme, certificate} from '#test/support/snapshots.ts';
import {startApplication, type Application} from '#test/upstream/http2-stage.ts';

export interface Call {
  readonly stream: http2.ClientHttp2Stream;
  head: http2.IncomingHttpHeaders;
  body: string;
  trailers: http2.IncomingHttpHeaders;
  isOver: boolean;
}

export interface Stage {
  readonly proxy: ProxyHarness;
  readonly application: Application;
  readonly session: http2.ClientHttp2Session;
}

export async function start(context: TestContext, acmeOverrides: Parameters<typeof acme>[1] = {}): Promise<Stage> {
  const application = await startApplication(context);
  const customer = acme([application.port], {
    ...acmeOverrides, pool: {protocol: 'h2c', connectionsMax: 2000, ...acmeOverrides.pool}, route: {takesCalls: true, ...acmeOverrides.route},
  });
  const proxy = await ProxyHarness.start(context, {customers: [{...customer, certificates: [certificate(PAIR, ['acme.test'])]}], node: {listeners: [HTTPS]}});
  context.after(() => proxy.reload({customers: []}));
  return {proxy, application, session: connect(context, proxy)};
}

/** @param localAddress of the client */
export function connect(context: TestContext, proxy: ProxyHarness, localAddress = '127.0.0.1'): http2.ClientHttp2Session {
  const session = http2.connect(`https://acme.test:${proxy.ports['https']}`, {ca: PAIR.cert, host: '127.0.0.1', localAddress, servername: 'acme.test'} as http2.SecureClientSessionOptions);
  session.on('error', () => undefined);
  context.after(() => { session.destroy(); });
  return session;
}

/** @param trailers of the request; null: its last message ends it */
export function call(session: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders = {}, trailers: http2.OutgoingHttpHeaders | null = null): Call {
  const head = {':method': 'POST', ':path': '/pkg.Service/Method', ':authority': 'acme.test', 'content-type': 'application/grpc+proto', te: 'trailers', ...fields};
  const stream = session.request(head, {waitForTrailers: trailers !== null});
  const made: Call = {stream, head: {}, body: '', trailers: {}, isOver: false};
  stream.setEncoding('latin1').on('data', (text: string) => { made.body += text; });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  stream.on('response', (received) => { made.head = received; }).on('trailers', (received) => { made.trailers = received; });
  stream.on('error', () => undefined).on('close', () => { made.isOver = true; });
  return made;
}
