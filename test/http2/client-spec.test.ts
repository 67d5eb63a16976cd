/** What a client's session makes of what applications send. */
import assert from 'node:assert/strict';
import {ApplicationPeer} from '#test/http2/application-peer.ts';
import {parseDocument} from '#test/http2/spec-document.ts';
import {checkSplits, testDocuments} from '#test/support/spec-document.ts';

testDocuments(new URL('client-spec/', import.meta.url), parseDocument, ({bytes, events, outcome, isBare}) => {
  const replay = (pieces: readonly Buffer[]): string[] => {
    const peer = isBare ? new ApplicationPeer() : ApplicationPeer.asked();
    peer.send(...pieces);
    return [...peer.events, ...peer.takeLines()];
  };
  const whole = replay([bytes]);
  if (events !== null) assert.deepEqual(whole, events);
  for (const line of outcome) assert.ok(whole.includes(line), `"${line}" is not among\n${whole.join('\n')}`);
  checkSplits(bytes, whole, replay);
});
