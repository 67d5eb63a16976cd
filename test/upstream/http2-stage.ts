/** What the tests of HTTP/2 upstreams share. */
import type {TestContext} from 'node:test';
import {createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream} from 'node:http2';
import type {AddressInfo} from 'node:net';
import type {PoolSnapshot, PoolTlsSnapshot} from '#src/config/snapshot.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {acme} from '#test/support/snapshots.ts';

export const GET = 'GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n';

const authority = await CertificateAuthority.create('the authority');
export const PAIR = await authority.issue({names: ['app.internal']});
export const TLS: PoolTlsSnapshot = {caPem: authority.certPem, serverName: 'app.internal', certificate: null, isVerified: true, versionMin: 'TLSv1.2'};

export interface Application {
  readonly port: number;
  readonly server: Http2Server;
  readonly requests: {readonly stream: ServerHttp2Stream; readonly fields: IncomingHttpHeaders; body: string}[];
  /** Sessions ever. */
  sessions: number;
  /** By default: 200 with the body of the request. */
  respond: (stream: ServerHttp2Stream, body: string) => void;
}

export async function startApplication(context: TestContext, server: Http2Server = createServer()): Promise<Application> {
  const application: Application = {
    port: 0, server, requests: [], sessions: 0,
    respond: (stream, body) => { stream.respond({':status': 200, 'x-of': 'application'}); stream.end(`<${body}>`); },
  };
  server.on('session', () => { application.sessions++; }).on('sessionError', () => undefined);
  server.on('stream', (stream: ServerHttp2Stream, fields: IncomingHttpHeaders) => {
    const request = {stream, fields, body: ''};
    application.requests.push(request);
    stream.on('error', () => undefined).setEncoding('latin1').on('data', (text: string) => { request.body += text; });
    stream.on('end', () => application.respond(stream, request.body));
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  context.after(() => { server.close(); });
  return Object.assign(application, {port: (server.address() as AddressInfo).port});
}

export async function startProxy(context: TestContext, ports: readonly number[], overrides: Partial<PoolSnapshot> = {}): Promise<ProxyHarness> {
  const proxy = await ProxyHarness.start(context, {customers: [acme(ports, {route: {requestBufferBytes: 100, takesCalls: true}, pool: {protocol: 'h2c', ...overrides}})]});
  context.after(() => proxy.reload({customers: []}));
  return proxy;
}

export async function ask(context: TestContext, proxy: ProxyHarness, request = GET): Promise<Awaited<ReturnType<RawClient['response']>>> {
  const client = await proxy.connect(context);
  client.send(request);
  return client.response(request.split(' ')[0]);
}
