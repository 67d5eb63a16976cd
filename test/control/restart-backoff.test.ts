import assert from 'node:assert/strict';
import {test} from 'node:test';
import {RestartBackoff} from '#src/control/restart-backoff.ts';

test('the first death is answered at once, the next ones ever later, at most every 30 s', () => {
  const backoff = new RestartBackoff();
  const delays = Array.from({length: 9}, () => backoff.nextDelayMs(0));
  assert.deepEqual(delays, [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test('a minute of health makes up for all deaths before', () => {
  const backoff = new RestartBackoff();
  for (let death = 0; death < 5; death++) backoff.nextDelayMs(59_999);
  assert.equal(backoff.nextDelayMs(59_999), 8000);
  assert.equal(backoff.nextDelayMs(60_000), 0);
  assert.equal(backoff.nextDelayMs(0), 500);
});
