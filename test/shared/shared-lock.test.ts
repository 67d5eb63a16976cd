import assert from 'node:assert/strict';
import {once} from 'node:events';
import {test} from 'node:test';
import {Worker} from 'node:worker_threads';
import {acquireLock, releaseLock} from '#src/shared/shared-lock.ts';
import type {AddUnderLock} from '#test/shared/add-under-lock.ts';
import {runCrew} from '#test/shared/crew.ts';

test('one holder at a time', async () => {
  const threads = 4, additions = 20_000;
  const task: AddUnderLock = {buffer: new SharedArrayBuffer(8), additions};
  await runCrew(new URL('add-under-lock.ts', import.meta.url), threads, task);
  assert.equal(new Int32Array(task.buffer)[1], threads * additions);
});

test('a lock that a dead thread holds is taken over, and is a lock again', async () => {
  const buffer = new SharedArrayBuffer(4);
  const cells = new Int32Array(buffer);
  const worker = new Worker(new URL('hold-lock.ts', import.meta.url), {workerData: buffer});
  const [stampOfTheDead]: unknown[] = await once(worker, 'message');
  await worker.terminate();
  const stamp = acquireLock(cells, 0);
  assert.notEqual(stamp, stampOfTheDead);
  releaseLock(cells, 0, Number(stampOfTheDead));
  assert.equal(cells[0], stamp, 'a holder that was robbed cannot release what is no longer its own');
  releaseLock(cells, 0, stamp);
  assert.equal((cells[0] ?? 1) & 1, 0);
});

test('the count of a lock may overflow', () => {
  const cells = new Int32Array(new SharedArrayBuffer(4));
  cells[0] = 2 ** 31 - 2;
  for (let turn = 0; turn < 3; turn++) releaseLock(cells, 0, acquireLock(cells, 0));
  assert.equal(cells[0], -(2 ** 31) + 4);
});

test('the monotonic clock is the same in all threads', async () => {
  const source = "require('node:worker_threads').parentPort.postMessage(performance.now())";
  const beforeMs = performance.now();
  const worker = new Worker(source, {eval: true});
  const [inThreadMs]: unknown[] = await once(worker, 'message');
  const afterMs = performance.now();
  await worker.terminate();
  assert.ok(beforeMs <= Number(inThreadMs) && Number(inThreadMs) <= afterMs, 'or arrival times could not be shared');
});
