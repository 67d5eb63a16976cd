import assert from 'node:assert/strict';
import {describe, it} from 'node:test';
import {median, pairedRatio, quantile, spreadOf} from '../../bench/harness/statistics.ts';

describe('quantiles', () => {
  it('interpolates between two values', () => {
    assert.equal(median([4, 1]), 2.5);
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(quantile([10, 20, 30, 40, 50], 0.75), 40);
  });

  it('has the smallest value at 0 and the largest at 1', () => {
    assert.equal(quantile([5, 1, 9], 0), 1);
    assert.equal(quantile([5, 1, 9], 1), 9);
  });

  it('sorts numbers as numbers and leaves the input alone', () => {
    const values = [100, 9, 20];
    assert.deepEqual(spreadOf(values), {median: 20, min: 9, max: 100});
    assert.deepEqual(values, [100, 9, 20]);
  });

  it('refuses an empty list', () => {
    assert.throws(() => median([]), /at least one value/);
  });
});

describe('the ratio of two contestants', () => {
  it('pairs the rounds: a machine that slows down in the middle changes nothing', () => {
    assert.deepEqual(pairedRatio([200, 100, 50], [100, 50, 25], 'higher'), {median: 2, min: 2, max: 2});
  });

  it('is above 1 where the subject is the better one, whatever the direction', () => {
    assert.equal(pairedRatio([10], [20], 'lower')?.median, 2);
    assert.equal(pairedRatio([20], [10], 'higher')?.median, 2);
  });

  it('leaves rounds out that have no ratio', () => {
    assert.deepEqual(pairedRatio([10, -3, 10], [20, 20, 0], 'lower'), {median: 2, min: 2, max: 2});
    assert.equal(pairedRatio([0], [5], 'lower'), null);
    assert.equal(pairedRatio([], [5], 'lower'), null);
  });
});
