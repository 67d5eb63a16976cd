import assert from 'node:assert/strict';
import {test} from 'node:test';
import {FairGate} from '#src/control/fair-gate.ts';

/** Work that ends when it is told to; `started` has the owners in the order of their admission. */
function createBench(gate: FairGate): {started: string[]; submit: (owner: string) => void; finish: (owner: string) => Promise<void>} {
  const started: string[] = [];
  const running: {owner: string; end: () => void}[] = [];
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  return {
    started,
    submit: owner => void gate.run(owner, () => {
      started.push(owner);
      const {promise, resolve} = Promise.withResolvers<void>();
      running.push({owner, end: resolve});
      return promise;
    }),
    finish: async owner => {
      const index = running.findIndex(work => work.owner === owner);
      assert.notEqual(index, -1, `${owner} has nothing running`);
      running.splice(index, 1)[0]?.end();
      await settle();
    },
  };
}

test('no owner has more than its share, and the others do not wait for it', async () => {
  const {started, submit, finish} = createBench(new FairGate(4, 2));
  for (let i = 0; i < 10; i++) submit('flood');
  submit('small');
  await Promise.resolve();
  await finish('small');
  assert.deepEqual(started, ['flood', 'flood', 'small']);
});

test('owners take turns where there is not room for all', async () => {
  const {started, submit, finish} = createBench(new FairGate(1, 1));
  for (const owner of ['a', 'a', 'a', 'b', 'b', 'c']) submit(owner);
  await Promise.resolve();
  while (started.length < 6) await finish(started.at(-1) ?? '');
  assert.deepEqual(started, ['a', 'a', 'b', 'c', 'a', 'b']);
});

test('work that fails makes room again', async () => {
  const gate = new FairGate(1, 1);
  await assert.rejects(gate.run('a', () => Promise.reject(new Error('broken'))), /broken/);
  assert.equal(await gate.run('a', () => Promise.resolve('next')), 'next');
});
