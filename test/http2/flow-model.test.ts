/** Against a model of the client's windows: whatever is granted and taken back, never a byte more is sent, and in the end every byte has come. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {FLAG, FRAME, WINDOW_BYTES_DEFAULT} from '#src/http2/frames.ts';
import {opening, request, settings, windowUpdate} from '#test/http2/frames.ts';
import {Peer} from '#test/http2/peer.ts';
import {testProperty} from '#test/support/property.ts';

const STREAMS = 4;
const AMOUNT = fc.constantFrom(1, 9, 1000, 16_384, 20_000, 70_000);
const STREAM = fc.nat(STREAMS - 1);

type Step =
  | {readonly type: 'write' | 'grant'; readonly stream: number; readonly bytes: number}
  | {readonly type: 'grant_all' | 'initial'; readonly bytes: number}
  | {readonly type: 'end'; readonly stream: number};

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({type: fc.constantFrom('write', 'write', 'grant'), stream: STREAM, bytes: AMOUNT}),
  fc.record({type: fc.constant('grant_all'), bytes: AMOUNT}),
  fc.record({type: fc.constant('initial'), bytes: fc.constantFrom(0, 1, 1000, 65_535, 200_000)}),
  fc.record({type: fc.constant('end'), stream: STREAM}),
);

interface ModelStream {
  readonly id: number;
  window: number;
  written: number;
  received: number;
  isEnded: boolean;
  ends: number;
}

/** What stands at an offset of a stream's content. */
function byteAt(id: number, offset: number): number {
  return (id * 31 + offset * 7 + (offset >>> 8)) & 0xff;
}

class Model {
  readonly peer = new Peer();
  readonly streams: readonly ModelStream[];
  #window = WINDOW_BYTES_DEFAULT;
  #initial: number;

  constructor(initial: number) {
    this.#initial = initial;
    this.peer.send(opening({INITIAL_WINDOW_SIZE: initial}));
    this.streams = Array.from({length: STREAMS}, (_, i) => ({id: 2 * i + 1, window: initial, written: 0, received: 0, isEnded: false, ends: 0}));
    for (const {id} of this.streams) {
      this.peer.send(request(id));
      this.peer.session.sendHead(this.peer.stream(id), 200, '');
    }
  }

  apply(step: Step): void {
    switch (step.type) {
      case 'write': this.#write(this.#stream(step.stream), step.bytes); break;
      case 'grant': this.grant(this.#stream(step.stream), step.bytes); break;
      case 'grant_all': this.grantAll(step.bytes); break;
      case 'initial': this.#setInitial(step.bytes); break;
      case 'end': this.end(this.#stream(step.stream)); break;
    }
  }

  #stream(index: number): ModelStream {
    return this.streams[index] ?? assert.fail();
  }

  #write(stream: ModelStream, bytes: number): void {
    if (stream.isEnded) return;
    const content = Buffer.from(Uint8Array.from({length: bytes}, (_, i) => byteAt(stream.id, stream.written + i)));
    stream.written += bytes;
    this.peer.session.sendContent(this.peer.stream(stream.id), content, 0, bytes);
    // The bytes were only lent.
    content.fill(0);
  }

  grant(stream: ModelStream, bytes: number): void {
    stream.window += bytes;
    this.peer.send(windowUpdate(stream.id, bytes));
  }

  grantAll(bytes: number): void {
    this.#window += bytes;
    this.peer.send(windowUpdate(0, bytes));
  }

  #setInitial(bytes: number): void {
    for (const stream of this.streams) stream.window += bytes - this.#initial;
    this.#initial = bytes;
    this.peer.send(settings({INITIAL_WINDOW_SIZE: bytes}));
  }

  end(stream: ModelStream): void {
    if (stream.isEnded) return;
    stream.isEnded = true;
    this.peer.session.endMessage(this.peer.stream(stream.id));
  }

  /** Before each step: what is sent by then must fit into what is granted by then. */
  read(): void {
    for (const {type, flags, streamId, payload} of this.peer.takeFrames()) {
      const stream = this.streams.find(({id}) => id === streamId);
      if (stream === undefined) continue;
      if ((flags & FLAG.END_STREAM) !== 0) stream.ends++;
      if (type !== FRAME.DATA || payload.length === 0) continue;
      stream.window -= payload.length;
      this.#window -= payload.length;
      assert.ok(stream.window >= 0 && this.#window >= 0, `${payload.length} bytes of stream ${streamId} are too many`);
      for (const byte of payload) assert.equal(byte, byteAt(streamId, stream.received++));
    }
  }
}

testProperty('windows are kept, and nothing is lost', fc.property(fc.constantFrom(0, 10, 65_535), fc.array(STEP, {maxLength: 40}), (initial, steps) => {
  const model = new Model(initial);
  for (const step of steps) {
    model.read();
    model.apply(step);
  }
  model.read();
  model.grantAll(20_000_000);
  for (const stream of model.streams) {
    // One that has been sent to its end is over: it takes no more.
    if (stream.ends === 0) model.grant(stream, 20_000_000);
    model.end(stream);
  }
  model.read();
  for (const {written, received, ends} of model.streams) assert.deepEqual([received, ends], [written, 1]);
  assert.deepEqual(model.peer.faults, []);
  assert.ok([...model.peer.streams.values()].every((stream) => stream.isClosed));
}), 300);
