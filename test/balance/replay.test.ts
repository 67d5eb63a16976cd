import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {FAULT_CODES, FAULTS} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {isIdempotent, mayReplay, reusableIdleMs, type FailedAttempt} from '#src/balance/replay.ts';
import {testProperty} from '#test/support/property.ts';

/** A GET whose fresh connection was closed without an answer: may be sent again. */
const GET: FailedAttempt = {
  fault: 'upstream_closed', idempotent: true, requestBegun: true, responseBegun: false, bodyReplayable: true, attempts: 1,
};
const POST: FailedAttempt = {...GET, idempotent: false};

test('methods are idempotent as RFC 9110 §9.2.2 says, and unknown ones are not', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) assert.equal(isIdempotent(method), true, method);
  for (const method of ['POST', 'PATCH', 'CONNECT', 'get', 'Get', '', 'PURGE']) assert.equal(isIdempotent(method), false, method);
});

test('an idempotent request may be sent again while nothing of an answer went out', () => {
  assert.equal(mayReplay(GET), true);
  assert.equal(mayReplay({...GET, responseBegun: true}), false);
});

test('any other request only if it never left', () => {
  assert.equal(mayReplay({...POST, fault: 'connect_failed', requestBegun: false}), true);
  assert.equal(mayReplay(POST), false, 'the application may have acted on it');
});

test('a request that must not be sent twice gets no connection that may be about to end', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) assert.equal(reusableIdleMs(method), Number.POSITIVE_INFINITY);
  for (const method of ['POST', 'PATCH', 'PURGE']) assert.equal(reusableIdleMs(method), LIMITS.unsafeIdleMs);
});

test('what was streamed away cannot be sent again', () => {
  assert.equal(mayReplay({...GET, bodyReplayable: false}), false);
  assert.equal(mayReplay({...POST, fault: 'connect_failed', requestBegun: false, bodyReplayable: false}), false);
});

test('attempts are limited', () => {
  assert.equal(mayReplay({...GET, attempts: LIMITS.attemptsMax - 1}), true);
  assert.equal(mayReplay({...GET, attempts: LIMITS.attemptsMax}), false);
});

testProperty('never after a fault that another endpoint cannot mend, nor into an answer that has begun', fc.property(
  fc.record({
    fault: fc.constantFrom(...FAULT_CODES), idempotent: fc.boolean(), requestBegun: fc.boolean(), responseBegun: fc.boolean(),
    bodyReplayable: fc.boolean(), attempts: fc.integer({min: 1, max: 3}),
  }),
  (attempt) => {
    if (!mayReplay(attempt)) return;
    assert.ok(FAULTS[attempt.fault].retryable && !attempt.responseBegun && attempt.bodyReplayable && attempt.attempts < LIMITS.attemptsMax);
    assert.ok(attempt.idempotent || !attempt.requestBegun);
  },
), 1_000);
