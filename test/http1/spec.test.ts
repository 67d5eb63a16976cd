/** Each document's cases, and each case again with its bytes split at every offset. */
import assert from 'node:assert/strict';
import {replay} from '#test/http1/replay.ts';
import {parseDocument} from '#test/http1/spec-document.ts';
import {checkSplits, testDocuments} from '#test/support/spec-document.ts';

testDocuments(new URL('spec/', import.meta.url), parseDocument, ({subject, bytes, events, outcome}) => {
  const whole = replay(subject, [bytes]);
  if (events !== null) assert.deepEqual(whole, events);
  else {
    assert.ok(outcome !== null && whole.includes(outcome), `${outcome} is not among\n${whole.join('\n')}`);
    const fault = whole.find((event) => event.startsWith('fault'));
    assert.ok(fault === undefined || fault === outcome, `the fault is ${fault}`);
  }
  checkSplits(bytes, whole, (pieces) => replay(subject, pieces));
});
