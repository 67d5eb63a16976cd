import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {createRest} from '#src/control/pace.ts';

test('work goes on for a stretch, then others have their turn', async () => {
  let nowMs = 0, pauses = 0;
  const rest = createRest({clock: () => nowMs, pause: () => pauses++});
  let turns = 0;
  const others = setImmediate().then(() => turns++);
  nowMs = 0.9;
  await rest();
  assert.deepEqual([pauses, turns], [0, 0]);
  nowMs = 1;
  await rest();
  assert.deepEqual([pauses, turns], [1, 1]);
  nowMs = 1.9;
  await rest();
  assert.equal(pauses, 1, 'a stretch begins where the rest has ended');
  await others;
});

test('a thread that never waits for anything else serves others all the same', async () => {
  const rest = createRest();
  const served = new AbortController();
  const timer = setTimeout(() => served.abort(), 1);
  for (const deadline = performance.now() + 10_000; !served.signal.aborted && performance.now() < deadline;) await rest();
  clearTimeout(timer);
  assert.ok(served.signal.aborted);
});
