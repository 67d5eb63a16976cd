import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {Deadlined, DeadlineWheel} from '#src/core/deadline-wheel.ts';
import {testProperty} from '#test/support/property.ts';

const TICK_MS = 250;

function rethrow(_entry: Deadlined, error: unknown): never {
  throw error;
}

class Probe extends Deadlined {
  readonly firedMs: number[] = [];
  /** What else happens when it fires. */
  react: (nowMs: number) => void = () => undefined;

  override onDeadline(nowMs: number): void {
    this.firedMs.push(nowMs);
    this.react(nowMs);
  }

  override lose(): void {
    assert.fail('only onError decides that');
  }
}

test('fires once, never early, at most one tick and one pause late', () => {
  const wheel = new DeadlineWheel(TICK_MS, 1_000, rethrow);
  const probe = new Probe();
  wheel.arm(probe, 2_001);
  for (let nowMs = 1_000; nowMs <= 4_000; nowMs += 50) wheel.advance(nowMs);
  assert.deepEqual(probe.firedMs, [2_250]);
  assert.equal(wheel.size, 0);
});

test('a deadline that has passed fires with the next tick', () => {
  const wheel = new DeadlineWheel(TICK_MS, 10_000, rethrow);
  const probe = new Probe();
  wheel.arm(probe, 5);
  wheel.advance(10_249);
  assert.deepEqual(probe.firedMs, []);
  wheel.advance(10_250);
  assert.deepEqual(probe.firedMs, [10_250]);
});

test('a later deadline is only written down, an earlier one moves the entry', () => {
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  const probe = new Probe();
  wheel.arm(probe, 1_000);
  const slot = probe.wheelSlot;
  wheel.arm(probe, 9_000);
  assert.equal(probe.wheelSlot, slot, 'the entry stayed where it was');
  wheel.advance(1_000);
  assert.notEqual(probe.wheelSlot, slot, 'its old slot came up');
  wheel.arm(probe, 2_000);
  wheel.advance(2_000);
  assert.deepEqual(probe.firedMs, [2_000]);
});

test('deadlines beyond the span of the wheel work, and so does one that never comes', () => {
  const hourMs = 3_600_000;
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  const far = new Probe(), never = new Probe();
  wheel.arm(far, 3 * hourMs);
  wheel.arm(never, Infinity);
  for (let nowMs = 0; nowMs <= 3 * hourMs + 1_000; nowMs += TICK_MS) wheel.advance(nowMs);
  assert.deepEqual(far.firedMs, [3 * hourMs]);
  assert.deepEqual(never.firedMs, []);
  assert.equal(wheel.size, 1);
});

test('after a pause of days everything that is due fires once, though it arms itself again', () => {
  const dayMs = 86_400_000;
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  const probes = Array.from({length: 2_000}, () => new Probe());
  for (const [index, probe] of probes.entries()) {
    probe.react = (): void => wheel.arm(probe, (index + 1) * 100);
    wheel.arm(probe, (index + 1) * 100);
  }
  wheel.advance(dayMs);
  assert.ok(probes.every(({firedMs}) => firedMs.length === 1));
  assert.equal(wheel.size, probes.length);
  wheel.advance(dayMs + TICK_MS);
  assert.ok(probes.every(({firedMs}) => firedMs.length === 2));
});

test('an entry that fires may disarm and postpone others that are due at the same time', () => {
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  const [a, b, c] = [new Probe(), new Probe(), new Probe()];
  const probes = [a, b, c];
  const others = (probe: Probe): Probe[] => probes.filter((other) => other !== probe);
  for (const probe of probes) {
    probe.react = (): void => {
      const [first, second] = others(probe);
      assert.ok(first && second);
      wheel.disarm(first);
      wheel.arm(second, 5_000);
    };
    wheel.arm(probe, 1_000);
  }
  wheel.advance(1_000);
  assert.equal(probes.reduce((fired, {firedMs}) => fired + firedMs.length, 0), 1);
  assert.equal(wheel.size, 1);
  for (const probe of probes) probe.react = (): void => undefined;
  wheel.advance(5_000);
  assert.equal(probes.reduce((fired, {firedMs}) => fired + firedMs.length, 0), 2);
});

test('an exception of an entry is reported with it, and the others fire', () => {
  const lost: Deadlined[] = [];
  const wheel = new DeadlineWheel(TICK_MS, 0, (entry) => { lost.push(entry); });
  const probes = [new Probe(), new Probe(), new Probe()] as const;
  for (const probe of probes) wheel.arm(probe, 100);
  probes[1].react = (): never => {
    throw new Error('broken');
  };
  wheel.advance(1_000);
  assert.deepEqual(probes.map(({firedMs}) => firedMs.length), [1, 1, 1]);
  assert.ok(lost.length === 1 && lost[0] === probes[1]);
  assert.equal(wheel.size, 0);
});

test('what an exception left unfired is fired by the next call', () => {
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  const probes = [new Probe(), new Probe(), new Probe()];
  for (const probe of probes) {
    probe.react = (): never => {
      throw new Error('broken');
    };
    wheel.arm(probe, 100);
  }
  for (let call = 0; call < probes.length; call++) assert.throws(() => wheel.advance(1_000), /broken/);
  wheel.advance(1_000);
  assert.ok(probes.every(({firedMs}) => firedMs.length === 1));
  assert.equal(wheel.size, 0);
});

test('a clock that stands still or goes back fires nothing early', () => {
  const wheel = new DeadlineWheel(TICK_MS, 10_000, rethrow);
  const probe = new Probe();
  wheel.arm(probe, 10_500);
  for (const nowMs of [10_000, 9_000, 0, 10_499]) wheel.advance(nowMs);
  assert.deepEqual(probe.firedMs, []);
  wheel.advance(10_500);
  assert.deepEqual(probe.firedMs, [10_500]);
});

test('what is not a time is refused', () => {
  const wheel = new DeadlineWheel(TICK_MS, 0, rethrow);
  for (const deadlineMs of [Number.NaN, -1]) assert.throws(() => wheel.arm(new Probe(), deadlineMs), RangeError);
  assert.equal(wheel.size, 0);
});

type Step = {readonly type: 'arm'; readonly entry: number; readonly inMs: number} | {readonly type: 'disarm'; readonly entry: number} | {readonly type: 'advance'; readonly byMs: number};

const ENTRIES = 6;
const anyDelayMs = fc.oneof(fc.nat(3_000), fc.nat(300_000), fc.double({min: 0, max: 2_000, noNaN: true}));
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({type: fc.constant('arm' as const), entry: fc.nat(ENTRIES - 1), inMs: anyDelayMs}),
  fc.record({type: fc.constant('disarm' as const), entry: fc.nat(ENTRIES - 1)}),
  fc.record({type: fc.constant('advance' as const), byMs: anyDelayMs}),
);

/** An entry must have fired once its deadline is a tick ago, and may not have before it. */
testProperty('agrees with a list of deadlines', fc.property(fc.nat(1_000_000), fc.array(anyStep, {maxLength: 80, size: 'max'}), (startMs, steps) => {
  let nowMs = startMs;
  const wheel = new DeadlineWheel(TICK_MS, nowMs, rethrow);
  const probes = Array.from({length: ENTRIES}, () => new Probe());
  const deadlines = new Map<Probe, number>();
  for (const step of steps) {
    if (step.type === 'advance') {
      nowMs += step.byMs;
      const before = new Map(probes.map((probe) => [probe, probe.firedMs.length]));
      wheel.advance(nowMs);
      for (const probe of probes) {
        const deadlineMs = deadlines.get(probe) ?? Infinity;
        const fired = probe.firedMs.length - (before.get(probe) ?? 0);
        assert.ok(fired === 0 || (fired === 1 && deadlineMs <= nowMs), 'never early, never twice, never unarmed');
        assert.ok(fired === 1 || nowMs < deadlineMs + TICK_MS, 'never later than a tick');
        if (fired === 1) deadlines.delete(probe);
      }
    } else {
      const probe = probes[step.entry];
      assert.ok(probe);
      if (step.type === 'arm') {
        wheel.arm(probe, nowMs + step.inMs);
        deadlines.set(probe, nowMs + step.inMs);
      } else {
        wheel.disarm(probe);
        deadlines.delete(probe);
      }
    }
    assert.equal(wheel.size, deadlines.size);
  }
}), 1_000);
