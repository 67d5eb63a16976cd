/** What is kept of a body: a copy, and where it comes in pieces of one byte it costs by its bytes, not by its pieces. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {toBytes, type Piece} from '#src/core/piece-list.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {identifyClient} from '#src/policy/client-identity.ts';
import {RequestBody, TEXT_BYTES_MAX} from '#src/proxy/request-body.ts';
import {HeldMemory} from '#src/transport/held-memory.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';
import {makePlaces, makeSlot} from '#test/balance/places.ts';

function makeBody(): RequestBody {
  const {places} = makePlaces({memory: createSharedMemory(1, 1), account: makeSlot(1), kind: 'buffers', scope: 'node', max: 1000}, 1, 0);
  const ip = parseIp('192.0.2.1');
  assert.ok(ip !== null);
  return new RequestBody(new HeldMemory(places), {client: identifyClient(ip, 'http', new KeyedHash(new Uint8Array(16))), site: null});
}

interface Sent {
  readonly head: string;
  readonly length: number;
  readonly pieces: readonly Piece[];
}

function send(body: RequestBody): Sent {
  const sent: Sent[] = [];
  body.sendRequest({sendRequest: (head: string, length: number, pieces: readonly Piece[]) => sent.push({head, length, pieces})} as unknown as UpstreamStream, 'POST', 'POST / HTTP/1.1\r\n');
  const [request] = sent;
  assert.ok(request !== undefined);
  return request;
}

for (const [what, length, count] of [['a length that is not said', BODY_CHUNKED, 10_000], ['a small length', TEXT_BYTES_MAX, TEXT_BYTES_MAX], ['a length', 10_000, 10_000]] as const) {
  test(`pieces of one byte that are collected are joined: ${what}`, () => {
    const body = makeBody();
    body.begin(length, false);
    for (let i = 0; i < count; i++) assert.equal(body.collect(Buffer.from('x'), 0, 1), null);
    body.isComplete = true;
    const request = send(body);
    assert.deepEqual([request.head, request.length], ['POST / HTTP/1.1\r\n', count]);
    assert.equal(Buffer.concat(request.pieces.map(toBytes)).toString(), 'x'.repeat(count));
    assert.ok(request.pieces.length < count / 32);
  });
}

for (const [what, length, isText] of [
  ['one that is small', TEXT_BYTES_MAX, true], ['one that is not', TEXT_BYTES_MAX + 1, false], ['one that might become large', BODY_CHUNKED, false],
] as const) {
  test(`what is collected is a copy, of every byte: ${what} is ${isText ? 'text' : 'bytes'}`, () => {
    const lent = Buffer.from(Array.from({length: 256}, (_, byte) => byte)), original = Buffer.from(lent);
    const body = makeBody();
    body.begin(length, false);
    assert.equal(body.collect(lent, 0, lent.length), null);
    lent.fill('z');
    body.isComplete = true;
    assert.deepEqual(body.join(), original);
    const {pieces} = send(body);
    assert.deepEqual(pieces.map((piece) => typeof piece === 'string'), [isText]);
    assert.deepEqual(Buffer.concat(pieces.map(toBytes)), original);
    body.drop();
    assert.equal(body.join().length, 0);
  });
}
