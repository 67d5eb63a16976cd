/** What a body costs that comes in pieces of one byte: bounded by its bytes, not by its pieces. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {RequestBody} from '#src/proxy/request-body.ts';
import type {UpstreamConnection} from '#src/upstream/upstream-connection.ts';

/** Counts what the socket would have to do. */
class CountingConnection {
  text = '';
  writes = 0;
  corks = 0;
  flushes = 0;

  writeText(latin1: string): void {
    this.text += latin1;
    this.writes++;
  }

  writeBytes(bytes: Buffer): void {
    this.writeText(bytes.toString('latin1'));
  }

  cork(): void {
    this.corks++;
  }

  uncork(): void {
    this.flushes++;
  }

  get asUpstream(): UpstreamConnection {
    return this as unknown as UpstreamConnection;
  }
}

const PIECE = Buffer.from('x');

test('pieces that are collected are joined', () => {
  const body = new RequestBody();
  const connection = new CountingConnection();
  body.begin(BODY_CHUNKED, false);
  for (let i = 0; i < 10_000; i++) body.collect(PIECE);
  body.isComplete = true;
  body.sendHead(connection.asUpstream, 'POST', 'POST / HTTP/1.1\r\n');
  assert.equal(connection.text, `POST / HTTP/1.1\r\ncontent-length: 10000\r\n\r\n${'x'.repeat(10_000)}`);
  assert.ok(connection.writes < 10_000 / 32, `${connection.writes} writes`);
});

test('pieces that stream in one turn leave in one write', async () => {
  const body = new RequestBody();
  const connection = new CountingConnection();
  body.begin(BODY_CHUNKED, false);
  body.collect(PIECE);
  body.sendHead(connection.asUpstream, 'POST', 'POST / HTTP/1.1\r\n');
  connection.text = '';
  connection.corks = connection.flushes = 0;
  for (let i = 0; i < 1000; i++) body.stream(connection.asUpstream, PIECE);
  assert.deepEqual([connection.corks, connection.flushes], [1, 0]);
  body.endStream(connection.asUpstream);
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual([connection.corks, connection.flushes], [1, 1]);
  assert.equal(connection.text, `${'1\r\nx\r\n'.repeat(1000)}0\r\n\r\n`);
});

test('a body for another connection in the same turn holds nothing back', async () => {
  const body = new RequestBody();
  const connections = [new CountingConnection(), new CountingConnection()];
  for (const connection of connections) {
    body.begin(10, false);
    body.stream(connection.asUpstream, PIECE);
  }
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual(connections.map(({corks, flushes}) => [corks, flushes]), [[1, 1], [1, 1]]);
});
