/** What a body costs that comes in pieces of one byte: bounded by its bytes, not by its pieces. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {RequestBody} from '#src/proxy/request-body.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';

test('pieces that are collected are joined', () => {
  const body = new RequestBody();
  const sent: {head: string; length: number; pieces: readonly Buffer[]}[] = [];
  body.begin(BODY_CHUNKED, false);
  for (let i = 0; i < 10_000; i++) body.collect(Buffer.from('x'));
  body.isComplete = true;
  body.sendRequest({sendRequest: (head: string, length: number, pieces: readonly Buffer[]) => sent.push({head, length, pieces})} as unknown as UpstreamStream, 'POST', 'POST / HTTP/1.1\r\n');
  const [request] = sent;
  assert.deepEqual([request?.head, request?.length], ['POST / HTTP/1.1\r\n', 10_000]);
  assert.equal(Buffer.concat(request?.pieces ?? []).toString(), 'x'.repeat(10_000));
  assert.ok((request?.pieces.length ?? Infinity) < 10_000 / 32);
});
