/** The client and the server that Node's users of gRPC have, with Torwart between them. */
import assert from 'node:assert/strict';
import type {EventEmitter} from 'node:events';
import {test, type TestContext} from 'node:test';
import {
  Client, Metadata, Server, ServerCredentials, credentials, status,
  type CallOptions, type ClientUnaryCall, type MethodDefinition, type ServerDuplexStream, type ServerReadableStream, type ServerUnaryCall,
  type ServerWritableStream, type StatusObject, type sendUnaryData,
} from '@grpc/grpc-js';
import {FAULTS} from '#src/core/faults.ts';
import {CertificateAuthority} from '#test/support/certificate-authority.ts';
import {eventually} from '#test/support/eventually.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {HTTPS, acme, certificate} from '#test/support/snapshots.ts';

const authority = await CertificateAuthority.create('the authority that callers trust');
const PAIR = await authority.issue({names: ['acme.test']});

const same = (bytes: Buffer): Buffer => bytes;
const PATHS = {unary: '/test.Echo/Unary', collect: '/test.Echo/Collect', spread: '/test.Echo/Spread', chat: '/test.Echo/Chat'} as const;

function method(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {path, requestStream, responseStream, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same};
}

const ECHO = {unary: method(PATHS.unary, false, false), collect: method(PATHS.collect, true, false), spread: method(PATHS.spread, false, true), chat: method(PATHS.chat, true, true)};

/** A call that the application does not answer before the test says so. */
interface HeldCall {
  readonly call: EventEmitter & {getDeadline(): Date | number};
  readonly answer: () => void;
  isCancelled: boolean;
}

interface Stage {
  readonly proxy: ProxyHarness;
  readonly server: Server;
  readonly held: HeldCall[];
  readonly client: Client;
}

function metadata(fields: Readonly<Record<string, string | Buffer>>): Metadata {
  const made = new Metadata();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}

function hold(held: HeldCall[], call: HeldCall['call'], answer: () => void): void {
  const entry: HeldCall = {call, answer, isCancelled: false};
  held.push(entry);
  call.on('cancelled', () => { entry.isCancelled = true; });
}

async function startServer(context: TestContext, held: HeldCall[]): Promise<{server: Server; port: number}> {
  const server = new Server();
  server.addService(ECHO, {
    unary(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
      const text = call.request.toString();
      if (text === 'hold') return hold(held, call, () => callback(null, Buffer.from('held')));
      if (text === 'fail') return callback({code: status.NOT_FOUND, details: 'no such thing: ü', metadata: metadata({'x-why': 'because'})});
      call.sendMetadata(metadata({'x-initial': String(call.metadata.get('x-meta')[0]), 'trace-bin': call.metadata.get('trace-bin')[0] ?? Buffer.alloc(0)}));
      return callback(null, Buffer.from(`<${text}>`), metadata({'x-trailer': 'last', 'sum-bin': Buffer.from([0, 255, 1])}));
    },
    collect(call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
      const parts: string[] = [];
      call.on('data', (message: Buffer) => { parts.push(message.toString()); }).on('end', () => callback(null, Buffer.from(parts.join('+'))));
    },
    spread(call: ServerWritableStream<Buffer, Buffer>): void {
      const [count = 0, length = 0] = call.request.toString().split('x').map(Number);
      for (let i = 0; i < count; i++) call.write(Buffer.alloc(length, i));
      if (length > 0) call.end(metadata({'x-trailer': 'last'}));
      else hold(held, call, () => call.end());
    },
    chat(call: ServerDuplexStream<Buffer, Buffer>): void {
      call.on('data', (message: Buffer) => { call.write(Buffer.from(`<${message.toString()}>`)); }).on('end', () => { call.end(); });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => { if (error === null) resolve(bound); else reject(error); });
  });
  context.after(() => { server.forceShutdown(); });
  return {server, port};
}

async function start(context: TestContext): Promise<Stage> {
  const held: HeldCall[] = [];
  const {server, port} = await startServer(context, held);
  const customer = {...acme([port], {pool: {protocol: 'h2c', connectionsMax: 2000}, route: {takesCalls: true}}), certificates: [certificate(PAIR, ['acme.test'])]};
  const proxy = await ProxyHarness.start(context, {customers: [customer], node: {listeners: [HTTPS]}});
  context.after(() => proxy.reload({customers: []}));
  return {proxy, server, held, client: connect(context, proxy)};
}

function connect(context: TestContext, proxy: ProxyHarness): Client {
  const client = new Client(`127.0.0.1:${proxy.ports['https']}`, credentials.createSsl(Buffer.from(authority.certPem)), {
    'grpc.default_authority': 'acme.test', 'grpc.ssl_target_name_override': 'acme.test', 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1,
  });
  context.after(() => { client.close(); });
  return client;
}

interface UnaryCall {
  readonly call: ClientUnaryCall;
  message: string;
  initial: Metadata | null;
  end: StatusObject | null;
}

function unary(client: Client, text: string, sent = new Metadata(), options: CallOptions = {}): UnaryCall {
  const call = client.makeUnaryRequest(PATHS.unary, same, same, Buffer.from(text), sent, options, (_error, message?: Buffer) => { made.message = message?.toString() ?? ''; });
  const made: UnaryCall = {call, message: '', initial: null, end: null};
  call.on('metadata', (initial) => { made.initial = initial; }).on('status', (end) => { made.end = end; });
  return made;
}

interface MessageStream {
  readonly messages: Buffer[];
  end: StatusObject | null;
}

function watch(stream: EventEmitter): MessageStream {
  const made: MessageStream = {messages: [], end: null};
  stream.on('data', (message: Buffer) => { made.messages.push(message); });
  stream.on('status', (end: StatusObject) => { made.end = end; });
  stream.on('error', () => undefined);
  return made;
}

test('unary, with metadata before and behind the message', async (context) => {
  const {proxy, client} = await start(context);
  const made = unary(client, 'hello', metadata({'x-meta': '1', 'trace-bin': Buffer.from([0, 128, 255])}));
  await eventually('it is over', () => made.end !== null);
  assert.deepEqual([made.message, made.end?.code, made.initial?.get('x-initial'), made.end?.metadata.get('x-trailer')], ['<hello>', status.OK, ['1'], ['last']]);
  assert.deepEqual([made.initial?.get('trace-bin'), made.end?.metadata.get('sum-bin')], [[Buffer.from([0, 128, 255])], [Buffer.from([0, 255, 1])]]);
  assert.deepEqual(proxy.faults(), {});
});

test('a status of the application comes through with its details and metadata', async (context) => {
  const {proxy, client} = await start(context);
  const made = unary(client, 'fail');
  await eventually('it is over', () => made.end !== null);
  assert.deepEqual([made.end?.code, made.end?.details, made.end?.metadata.get('x-why')], [status.NOT_FOUND, 'no such thing: ü', ['because']]);
  assert.deepEqual(proxy.faults(), {});
});

test('client stream', async (context) => {
  const {client} = await start(context);
  let answer = '';
  const call = client.makeClientStreamRequest(PATHS.collect, same, same, new Metadata(), {}, (_error, message?: Buffer) => { answer = message?.toString() ?? ''; });
  for (const text of ['one', '', 'three']) call.write(Buffer.from(text));
  call.end();
  await eventually('it is answered', () => answer === 'one++three');
});

test('server stream, larger than any window', async (context) => {
  const {proxy, client} = await start(context);
  const made = watch(client.makeServerStreamRequest(PATHS.spread, same, same, Buffer.from('50x65536'), new Metadata(), {}));
  await eventually('it is over', () => made.end !== null);
  assert.deepEqual([made.end?.code, made.end?.metadata.get('x-trailer'), made.messages.length], [status.OK, ['last'], 50]);
  assert.ok(made.messages.every((message, index) => message.equals(Buffer.alloc(65_536, index))));
  assert.deepEqual(proxy.faults(), {});
});

test('bidirectional stream: each message is answered before the next one is sent', async (context) => {
  const {proxy, client} = await start(context);
  const call = client.makeBidiStreamRequest(PATHS.chat, same, same, new Metadata(), {});
  const made = watch(call);
  for (const [index, text] of ['one', 'two', 'three'].entries()) {
    call.write(Buffer.from(text));
    await eventually('it is answered', () => made.messages.length === index + 1);
  }
  call.end();
  await eventually('it is over', () => made.end !== null);
  assert.deepEqual([made.messages.map(String), made.end?.code], [['<one>', '<two>', '<three>'], status.OK]);
  assert.deepEqual(proxy.faults(), {});
});

test('a client that cancels is heard by the application', async (context) => {
  const {proxy, held, client} = await start(context);
  const made = unary(client, 'hold');
  await eventually('it is there', () => held.length === 1);
  made.call.cancel();
  await eventually('the application knows', () => held[0]?.isCancelled === true);
  assert.equal(made.end?.code, status.CANCELLED);
  await eventually('it is counted', () => proxy.fault('client_gone') === 1);
  assert.deepEqual(proxy.faults(), {client_gone: 1});
});

test('a deadline of the client reaches the application, and holds', async (context) => {
  const {held, client} = await start(context);
  const made = unary(client, 'hold', new Metadata(), {deadline: Date.now() + 300});
  await eventually('it is over', () => made.end !== null);
  assert.equal(made.end?.code, status.DEADLINE_EXCEEDED);
  await eventually('the application knows', () => held[0]?.isCancelled === true);
  assert.notEqual(held[0]?.call.getDeadline(), Infinity);
});

test('the same deadline kept by Torwart, for a client and an application that do not', async (context) => {
  const {proxy, held, client} = await start(context);
  const made = unary(client, 'hold', metadata({'grpc-timeout': '30S'}));
  const stream = watch(client.makeServerStreamRequest(PATHS.spread, same, same, Buffer.from('2x0'), metadata({'grpc-timeout': '30S'}), {}));
  await eventually('both are under way', () => held.length === 2 && stream.messages.length === 2);
  proxy.pass(30_500);
  await eventually('both are over', () => made.end !== null && stream.end !== null);
  for (const end of [made.end, stream.end]) assert.deepEqual([end?.code, end?.details], [status.DEADLINE_EXCEEDED, FAULTS.grpc_deadline.reason]);
  await eventually('the application knows', () => held.every(({isCancelled}) => isCancelled));
  assert.deepEqual(proxy.faults(), {grpc_deadline: 2});
});

test('1,000 calls at once', async (context) => {
  const {proxy, held, client} = await start(context);
  const clients = [client, ...Array.from({length: 9}, () => connect(context, proxy))];
  const calls = clients.flatMap((each) => Array.from({length: 100}, () => unary(each, 'hold')));
  await eventually('all are under way', () => held.length === 1000);
  for (const {answer} of held) answer();
  await eventually('all are over', () => calls.every(({end}) => end !== null));
  assert.ok(calls.every(({end, message}) => end?.code === status.OK && message === 'held'));
  assert.deepEqual(proxy.faults(), {});
});

test('an application that goes away, or is away, is unavailable', async (context) => {
  const {server, held, client} = await start(context);
  const cut = unary(client, 'hold');
  await eventually('it is there', () => held.length === 1);
  server.forceShutdown();
  await eventually('it is over', () => cut.end !== null);
  assert.deepEqual([cut.end?.code, cut.end?.details], [status.UNAVAILABLE, FAULTS.upstream_closed.reason]);
  const refused = unary(client, 'hello');
  await eventually('it is over', () => refused.end !== null);
  assert.deepEqual([refused.end?.code, refused.end?.details], [status.UNAVAILABLE, FAULTS.connect_failed.reason]);
});
