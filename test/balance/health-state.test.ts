import assert from 'node:assert/strict';
import {test} from 'node:test';
import {recordProbe, UNPROBED, type HealthProgress} from '#src/balance/health-state.ts';

const RULE = {rise: 2, fall: 3};

/** The states after each probe; `+` is a success, `-` a failure. */
function follow(probes: string, start: HealthProgress = UNPROBED): string {
  let progress = start;
  return Array.from(probes, probe => {
    progress = recordProbe(progress, probe === '+', RULE);
    return progress.state[0];
  }).join('');
}

test('an endpoint is pending until its first success, or as many failures as take one out', () => {
  assert.equal(follow('+'), 'u');
  assert.equal(follow('--+'), 'ppu');
  assert.equal(follow('---'), 'ppd');
});

test('it takes `fall` failures in a row to go down, and `rise` successes in a row to come back', () => {
  assert.equal(follow('+--+--+---'), 'uuuuuuuuud');
  assert.equal(follow('---+-++'), 'ppddddu');
  assert.equal(follow('---++---'), 'ppdduuud');
});

test('a rule of one reacts at once', () => {
  const once = {rise: 1, fall: 1};
  const down = recordProbe(UNPROBED, false, once);
  assert.equal(down.state, 'down');
  assert.equal(recordProbe(down, true, once).state, 'up');
});
