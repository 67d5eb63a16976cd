/** Memory of responses on their way out is used again, and never while somebody may still read it. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import * as fc from 'fast-check';
import {BufferPool} from '#src/core/buffer-pool.ts';
import {FRAME} from '#src/http2/frames.ts';
import {ContentQueue} from '#src/http2/content-queue.ts';
import {OutputBuffer, SlabPool} from '#src/http2/output-buffer.ts';
import {testProperty} from '#test/support/property.ts';

function write(output: OutputBuffer, length: number, byte: number): void {
  output.writeFrameHeader(length, FRAME.DATA, 0, 1);
  output.bytes.fill(byte, output.at, output.at + length);
  output.at += length;
}

function takeAll(output: OutputBuffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let piece = output.take(); piece !== null; piece = output.take()) pieces.push(piece);
  return pieces;
}

describe('slabs', () => {
  test('what is written is used again', () => {
    const output = new OutputBuffer(new SlabPool());
    const memory = new Set<ArrayBufferLike>();
    for (let i = 0; i < 100; i++) {
      write(output, 60_000, i);
      for (const piece of takeAll(output)) {
        memory.add(piece.buffer);
        output.onWritten();
      }
    }
    assert.equal(memory.size, 1);
  });

  test('what waits to be written does not hide what is free: fresh memory for every other response kept the garbage collector busy', () => {
    const pool = new SlabPool();
    const outputs = Array.from({length: 4}, () => new OutputBuffer(pool));
    const memory = new Set<ArrayBufferLike>();
    for (let i = 0; i < 100; i++) {
      for (const output of outputs) {
        write(output, 60_000, i);
        for (const piece of takeAll(output)) memory.add(piece.buffer);
      }
      for (const output of outputs) output.onWritten();
    }
    assert.equal(memory.size, outputs.length);
  });

  test('what cannot be written keeps its own', () => {
    const output = new OutputBuffer(new SlabPool());
    const memory = new Set<ArrayBufferLike>();
    for (let i = 0; i < 10; i++) {
      write(output, 60_000, i);
      for (const piece of takeAll(output)) memory.add(piece.buffer);
    }
    assert.equal(memory.size, 10);
  });

  interface Step {
    readonly connection: number;
    readonly length: number;
    /** How many of its pieces the connection's socket has written after that. */
    readonly written: number;
  }
  const step: fc.Arbitrary<Step> = fc.record({connection: fc.nat(2), length: fc.oneof(fc.nat(200), fc.nat(16_384), fc.nat(100_000)), written: fc.nat(3)});

  testProperty('pieces that are not written do not change, whoever writes', fc.property(fc.array(step, {maxLength: 60}), (steps) => {
    const pool = new SlabPool();
    const connections = [0, 1, 2].map(() => ({output: new OutputBuffer(pool), unwritten: [] as {piece: Buffer; copy: Buffer}[]}));
    for (const [i, {connection, length, written}] of steps.entries()) {
      const {output, unwritten} = connections[connection] ?? assert.fail();
      write(output, length, i);
      for (const piece of takeAll(output)) unwritten.push({piece, copy: Buffer.from(piece)});
      for (const each of connections) for (const {piece, copy} of each.unwritten) assert.ok(piece.equals(copy));
      for (const _ of unwritten.splice(0, written)) output.onWritten();
    }
  }));
});

describe('content that waits', () => {
  const BUFFER_BYTES = 20_000;
  const operation = fc.oneof(
    fc.record({push: fc.oneof(fc.integer({min: 1, max: 100}), fc.integer({min: 1, max: 3 * BUFFER_BYTES}))}),
    fc.record({move: fc.integer({min: 1, max: 2 * BUFFER_BYTES})}),
  );

  testProperty('comes out as it went in, in pieces of any size', fc.property(fc.array(operation, {maxLength: 40}), (operations) => {
    const pool = new BufferPool(BUFFER_BYTES, 4);
    const queues = [new ContentQueue(pool), new ContentQueue(pool)];
    const models = [Buffer.alloc(0), Buffer.alloc(0)];
    for (const [i, each] of operations.entries()) {
      const queue = queues[i % 2] ?? assert.fail();
      const model = models[i % 2] ?? assert.fail();
      if ('push' in each) {
        const source = Buffer.alloc(each.push + 2, i);
        queue.push(source, 1, each.push + 1);
        models[i % 2] = Buffer.concat([model, source.subarray(1, -1)]);
      } else {
        const length = Math.min(each.move, model.length);
        const target = Buffer.alloc(length + 5);
        queue.moveTo(target, 5, length);
        assert.ok(target.subarray(5).equals(model.subarray(0, length)));
        models[i % 2] = model.subarray(length);
      }
    }
  }));

  test('bytes that come one at a time cost what bytes cost, and not a buffer each', (context) => {
    const allocate = context.mock.method(Buffer, 'allocUnsafeSlow');
    const queue = new ContentQueue(new BufferPool(BUFFER_BYTES, 4));
    const source = Buffer.from('x');
    for (let i = 0; i < 256 * 1024; i++) queue.push(source, 0, 1);
    assert.ok(allocate.mock.callCount() < 64, `${allocate.mock.callCount()} buffers`);
    const bytes = allocate.mock.calls.reduce((sum, {result}) => sum + (result?.length ?? 0), 0);
    assert.ok(bytes < 2 * 256 * 1024, `${bytes} bytes`);
  });

  test('gives its buffers back when it is emptied and when it is given up', () => {
    const pool = new BufferPool(BUFFER_BYTES, 4);
    const known = pool.acquire();
    pool.release(known);
    for (const end of [(queue: ContentQueue) => queue.clear(), (queue: ContentQueue) => queue.moveTo(Buffer.alloc(BUFFER_BYTES), 0, BUFFER_BYTES)]) {
      const queue = new ContentQueue(pool);
      queue.push(Buffer.alloc(BUFFER_BYTES), 0, BUFFER_BYTES);
      end(queue);
      const again = pool.acquire();
      assert.equal(again, known);
      pool.release(again);
    }
  });
});
