/** Each document's cases, and each case again with its bytes split at every offset. */
import assert from 'node:assert/strict';
import {Peer} from '#test/http2/peer.ts';
import {parseDocument} from '#test/http2/spec-document.ts';
import {checkSplits, testDocuments} from '#test/support/spec-document.ts';

function replay(pieces: readonly Buffer[]): string[] {
  const peer = new Peer('answer');
  peer.send(...pieces);
  return [...peer.events, ...peer.takeLines()];
}

testDocuments(new URL('spec/', import.meta.url), parseDocument, ({bytes, events, outcome}) => {
  const whole = replay([bytes]);
  if (events !== null) assert.deepEqual(whole, events);
  for (const line of outcome) assert.ok(whole.includes(line), `"${line}" is not among\n${whole.join('\n')}`);
  checkSplits(bytes, whole, replay);
});
