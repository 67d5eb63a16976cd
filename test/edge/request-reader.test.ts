/** Requests that are found in what is read from a client, however the network cut it. */
import assert from 'node:assert/strict';
import type {Socket} from 'node:net';
import {describe, test} from 'node:test';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {RequestReader, type RequestSink} from '#src/edge/request-reader.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {HeldMemory, Holding} from '#src/transport/held-memory.ts';
import {makePlaces, makeSlot} from '#test/balance/places.ts';

const GET = 'GET /a HTTP/1.1\r\nhost: acme.test\r\n\r\n';
const POST = 'POST /b HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 5\r\n\r\nhello';
const CHUNKED = 'POST /c HTTP/1.1\r\nhost: acme.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';

/** Writes down what it is told, and answers each request as soon as it is complete, unless told otherwise. */
class FakeConnection implements RequestSink {
  readonly events: string[] = [];
  readonly handle = {reading: true, readStart: () => 0, readStop: () => 0};
  readonly reader: RequestReader;
  answers = true;
  hasTurn = true;
  #content = '';

  constructor() {
    const {places} = makePlaces({memory: createSharedMemory(1, 100), account: makeSlot(1), kind: 'buffers', scope: 'node', max: 1_000}, 1, 0);
    const holding = new Holding({heldBytes: 0, heldFor: {keyHigh: 7, keyLow: 11}, heldAccount: null});
    this.reader = new RequestReader({requestHead: new RequestHead(), held: new HeldMemory(places)}, {_handle: this.handle} as unknown as Socket, holding, this);
  }

  /** In memory that is overwritten at once, like a thread's buffer. */
  read(text: string): this {
    const bytes = Buffer.from(text, 'latin1');
    this.reader.read(bytes, bytes.length);
    bytes.fill('!');
    return this;
  }

  #answer(): void {
    if (this.answers) this.reader.next();
  }

  onHeadBegin(): void { this.events.push('begin'); }
  mustQueue(): boolean { return !this.hasTurn; }
  onHead({target}: RequestHead, length: number): void {
    this.events.push(`${target} ${length}`);
    if (this.reader.isBodyComplete) this.#answer();
  }
  onHeadFault(fault: FaultCode): void {
    this.events.push(fault);
    this.reader.dropHead();
    this.reader.end();
  }
  onBody(bytes: Buffer, start: number, end: number): void { this.#content += bytes.toString('latin1', start, end); }
  onBodyRead(): void { /* Only for deadlines. */ }
  onBodyEnd(trailers: FieldBlock | null): void {
    this.events.push(`${this.#content}${trailers === null ? '' : ' and trailers'}`);
    this.#content = '';
    this.#answer();
  }
  onBodyFault(fault: FaultCode): void {
    this.events.push(fault);
    this.reader.end();
  }
  pauseRequestBody(): void { this.reader.pause(); }
}

/** Without what depends on where the bytes were cut. */
function read(...pieces: readonly string[]): string[] {
  const connection = new FakeConnection();
  for (const piece of pieces) connection.read(piece);
  return connection.events.filter((event) => event !== 'begin');
}

const STREAMS: Readonly<Record<string, readonly [bytes: string, events: readonly string[]]>> = {
  'requests without bodies': [GET + GET, [`/a ${GET.length}`, `/a ${GET.length}`]],
  'a body with a length, and a request behind it': [POST + GET, [`/b ${POST.length - 5}`, 'hello', `/a ${GET.length}`]],
  'a body in chunks, and a request behind it': [CHUNKED + GET, [`/c ${CHUNKED.indexOf('5\r\n')}`, 'hello', `/a ${GET.length}`]],
  'a body in chunks that are none: nothing behind them is a request': [CHUNKED.replace('\r\n5\r\n', '\r\nx\r\n') + GET, [`/c ${CHUNKED.indexOf('5\r\n')}`, 'chunk_invalid']],
  'a head that is none: nothing behind it is a request': [`GET /a b HTTP/1.1\r\n\r\n${GET}`, ['head_invalid']],
};

for (const [what, [bytes, events]] of Object.entries(STREAMS)) {
  test(what, () => {
    assert.deepEqual(read(bytes), events);
    assert.deepEqual(read(...bytes.split('')), events, 'byte by byte');
    for (let at = 1; at < bytes.length; at++) assert.deepEqual(read(bytes.slice(0, at), bytes.slice(at)), events, `cut at ${at}`);
  });
}

describe('while a request is being answered', () => {
  test('the next one waits, and is read when it may come', () => {
    const connection = new FakeConnection();
    connection.answers = false;
    connection.read(POST + GET).read(POST);
    assert.deepEqual(connection.events, [`/b ${POST.length - 5}`, 'hello']);
    assert.equal(connection.reader.hasMore, true);
    connection.answers = true;
    connection.reader.next();
    assert.deepEqual(connection.events.slice(2), [`/a ${GET.length}`, `/b ${POST.length - 5}`, 'hello']);
    assert.deepEqual([connection.reader.hasMore, connection.reader.isIdle], [false, true]);
  });

  for (const [bytes, isPaused] of [[LIMITS.pipelineBytesMax - 1, false], [LIMITS.pipelineBytesMax, true]] as const) {
    test(`${bytes} bytes of a pipeline ${isPaused ? 'stop' : 'do not stop'} the reading`, () => {
      const connection = new FakeConnection();
      connection.answers = false;
      connection.read(GET).read('x'.repeat(bytes));
      assert.deepEqual([connection.reader.isPaused, connection.handle.reading, connection.reader.keptBytes], [isPaused, !isPaused, bytes]);
      connection.reader.next();
      assert.deepEqual([connection.reader.isPaused, connection.handle.reading], [false, true]);
    });
  }

  test('nothing is kept once it is clear that no request will follow', () => {
    const connection = new FakeConnection();
    connection.answers = false;
    connection.read(GET + GET).reader.end();
    connection.read(GET);
    assert.deepEqual([connection.events, connection.reader.keptBytes], [[`/a ${GET.length}`], 0]);
  });
});

describe('where a turn is needed', () => {
  test('a head waits with all that follows it', () => {
    const connection = new FakeConnection();
    connection.hasTurn = false;
    connection.read(POST.slice(0, -2)).read(`lo${GET}`);
    assert.deepEqual([connection.events, connection.reader.isQueued, connection.reader.keptBytes], [[], true, POST.length + GET.length]);
    connection.hasTurn = true;
    connection.reader.next();
    assert.deepEqual(connection.events, [`/b ${POST.length - 5}`, 'hello', `/a ${GET.length}`]);
  });

  test('a connection that rests is not read, and what comes all the same of one read over TLS is', () => {
    const connection = new FakeConnection();
    connection.read(GET).reader.rest();
    assert.deepEqual([connection.reader.isResting, connection.handle.reading], [true, false]);
    connection.read(GET);
    assert.deepEqual([connection.reader.isResting, connection.handle.reading], [false, true]);
    assert.deepEqual(connection.events, [`/a ${GET.length}`, `/a ${GET.length}`]);
  });
});

test('a head is told of once that is not complete', () => {
  const connection = new FakeConnection();
  for (const byte of GET.slice(0, -1)) connection.read(byte);
  assert.deepEqual([connection.events, connection.reader.keptBytes], [['begin'], GET.length - 1]);
});
