import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {HostTable} from '#src/policy/host-table.ts';

function createTable(hosts: number): HostTable<string> {
  const table = new HostTable<string>();
  for (let i = 0; i < hosts; i++) table.set({pattern: `${i % 5 === 0 ? '*.' : ''}h${i}.example`, value: `h${i}`});
  return table;
}

/** Look-ups in maps, which are all that a table does: each costs the same however many entries there are. */
function countLookUps(context: TestContext, find: () => unknown): number {
  const get = context.mock.method(Map.prototype, 'get');
  find();
  const count = get.mock.callCount();
  get.mock.restore();
  return count;
}

test('an exact host wins, then the longest wildcard of any depth', () => {
  const table = new HostTable<string>();
  for (const pattern of ['a.example', '*.example', '*.a.example', 'x.a.example']) table.set({pattern, value: pattern});
  const expected: Readonly<Record<string, string | undefined>> = {
    'a.example': 'a.example', 'x.a.example': 'x.a.example', 'y.a.example': '*.a.example', 'z.y.a.example': '*.a.example', 'b.example': '*.example',
    'example': undefined, 'a.example.org': undefined, '': undefined, '.example': undefined,
  };
  for (const [host, pattern] of Object.entries(expected)) assert.equal(table.find(host), pattern, host);
});

test('a host that has moved is not removed with its former owner', () => {
  const table = new HostTable<string>();
  const before = {pattern: 'a.example', value: 'old'}, now = {pattern: 'a.example', value: 'new'};
  table.set(before);
  table.set(now);
  table.delete(before);
  assert.equal(table.find('a.example'), 'new');
  table.delete(now);
  assert.equal(table.find('a.example'), undefined);
});

test('a text that is an exact name as it stands is found as the name of the table', () => {
  const table = createTable(10);
  const field = Buffer.from('h7.example').toString('latin1');
  assert.equal(table.findName(field), 'h7.example');
  for (const text of ['H7.example', 'h7.example.', 'h7.example:80', '*.h5.example', '.h5.example', 'x.h5.example', '']) assert.equal(table.findName(text), undefined, text);
});

test('100,000 hosts take as many look-ups as 10', context => {
  const few = createTable(10), many = createTable(100_000);
  for (const host of ['h7.example', 'x.h5.example', 'x.y.z.h5.example', 'nowhere.test', `${'a.'.repeat(120)}test`]) {
    assert.equal(many.find(host), few.find(host), host);
    assert.equal(countLookUps(context, () => many.find(host)), countLookUps(context, () => few.find(host)), host);
  }
});
