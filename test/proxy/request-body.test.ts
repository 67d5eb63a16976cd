/** What a body costs that comes in pieces of one byte: bounded by its bytes, not by its pieces. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {identifyClient} from '#src/policy/client-identity.ts';
import {RequestBody} from '#src/proxy/request-body.ts';
import {HeldMemory} from '#src/transport/held-memory.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';
import {makePlaces, makeSlot} from '#test/balance/places.ts';

test('pieces that are collected are joined', () => {
  const {places} = makePlaces({memory: createSharedMemory(1, 1), account: makeSlot(1), kind: 'buffers', scope: 'node', max: 1000}, 1, 0);
  const ip = parseIp('192.0.2.1');
  assert.ok(ip !== null);
  const body = new RequestBody(new HeldMemory(places), {client: identifyClient(ip, 'http', new KeyedHash(new Uint8Array(16))), site: null});
  const sent: {head: string; length: number; pieces: readonly Buffer[]}[] = [];
  body.begin(BODY_CHUNKED, false);
  for (let i = 0; i < 10_000; i++) assert.equal(body.collect(Buffer.from('x'), 0, 1), null);
  body.isComplete = true;
  body.sendRequest({sendRequest: (head: string, length: number, pieces: readonly Buffer[]) => sent.push({head, length, pieces})} as unknown as UpstreamStream, 'POST', 'POST / HTTP/1.1\r\n');
  const [request] = sent;
  assert.deepEqual([request?.head, request?.length], ['POST / HTTP/1.1\r\n', 10_000]);
  assert.equal(Buffer.concat(request?.pieces ?? []).toString(), 'x'.repeat(10_000));
  assert.ok((request?.pieces.length ?? Infinity) < 10_000 / 32);
});
