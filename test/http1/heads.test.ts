/** What a head says besides its fields, and that nothing of it stays: one parser reads the heads of all connections of a thread. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {RequestHead} from '#src/http1/request-head.ts';
import {ResponseHead} from '#src/http1/response-head.ts';
import {REQUEST, RESPONSE, mutate} from '#test/http1/messages.ts';
import {testProperty} from '#test/support/property.ts';

function parseRequest(head: RequestHead, bytes: Buffer): unknown {
  const position = head.parse(bytes, 0, bytes.length);
  if (position < 0) return {position, fault: position === -2 ? head.fault : ''};
  const {method, target, minorVersion, host, contentLength, transferEncoding, bodyLength, close, keepAlive, upgrade, upgradeProtocol, expect, userAgent, referer, accept, isPersistent, fields} = head;
  return {
    position, method, target, minorVersion, host, contentLength, transferEncoding, bodyLength, close, keepAlive, upgrade, upgradeProtocol, expect,
    userAgent, referer, accept, isPersistent, text: fields.text, folding: fields.foldingCount, numbers: [...fields.numbers.subarray(0, fields.count)],
  };
}

function parseResponse(head: ResponseHead, bytes: Buffer): unknown {
  const position = head.parse(bytes, 0, bytes.length, 'GET');
  if (position < 0) return {position, fault: position === -2 ? head.fault : ''};
  const {status, reason, minorVersion, contentLength, transferEncoding, bodyLength, close, keepAlive, upgrade, hasDate, isPersistent, fields} = head;
  return {
    position, status, reason, minorVersion, contentLength, transferEncoding, bodyLength, close, keepAlive, upgrade, hasDate, isPersistent,
    text: fields.text, numbers: [...fields.numbers.subarray(0, fields.count)],
  };
}

const FULL_REQUEST = [
  'POST /full HTTP/1.0', 'host: full', 'content-length: 3', 'connection: close, keep-alive, upgrade', 'upgrade: a', 'upgrade: b',
  'expect: 100-continue', 'user-agent: agent/1', 'referer: /from', 'accept: text/html', 'x_y: 1', '', '',
].join('\r\n');
const FULL_RESPONSE = [
  'HTTP/1.0 200 Fine', 'content-length: 3', 'connection: close, keep-alive, upgrade', 'date: Sun, 06 Nov 1994 08:49:37 GMT', '', '',
].join('\r\n');

test('what Torwart decides about is read from the fields of a request', () => {
  const head = new RequestHead();
  assert.ok(head.parse(Buffer.from(FULL_REQUEST), 0, FULL_REQUEST.length) > 0);
  assert.equal(head.host, 'full');
  assert.deepEqual([head.close, head.keepAlive, head.upgrade, head.isPersistent], [true, true, true, false]);
  assert.equal(head.upgradeProtocol, 'a, b');
  assert.equal(head.expect, '100-continue');
  assert.deepEqual([head.userAgent, head.referer, head.accept], ['agent/1', '/from', 'text/html']);
  assert.equal(head.fields.foldingCount, 1);
});

test('what Torwart decides about is read from the fields of a response', () => {
  const head = new ResponseHead();
  assert.ok(head.parse(Buffer.from(FULL_RESPONSE), 0, FULL_RESPONSE.length, 'GET') > 0);
  assert.deepEqual([head.close, head.keepAlive, head.upgrade, head.isPersistent], [true, true, true, false]);
  assert.equal(head.hasDate, true);
});

const PREVIOUS_REQUEST = fc.oneof(fc.constant(Buffer.from(FULL_REQUEST)), mutate(REQUEST));
const PREVIOUS_RESPONSE = fc.oneof(fc.constant(Buffer.from(FULL_RESPONSE)), mutate(RESPONSE));

testProperty('a request is read as if it were the first', fc.property(PREVIOUS_REQUEST, mutate(REQUEST), (previous, bytes) => {
  const head = new RequestHead();
  parseRequest(head, previous);
  assert.deepEqual(parseRequest(head, bytes), parseRequest(new RequestHead(), bytes));
}), 1000);

testProperty('a response is read as if it were the first', fc.property(PREVIOUS_RESPONSE, mutate(RESPONSE), (previous, bytes) => {
  const head = new ResponseHead();
  parseResponse(head, previous);
  assert.deepEqual(parseResponse(head, bytes), parseResponse(new ResponseHead(), bytes));
}), 1000);
