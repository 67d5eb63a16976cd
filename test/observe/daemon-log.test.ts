import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createLogLines} from '#test/control/fixtures/log-lines.ts';
import {makeCustomer, makeSnapshot} from '#test/control/fixtures/snapshots.ts';

test('a line has level, time and text', () => {
  const {log, lines} = createLogLines();
  log.warn({thread: 1}, 'hello');
  const [line] = lines;
  assert.deepEqual([line?.level, line?.msg, line?.['thread'], line?.['pid']], ['warn', 'hello', 1, process.pid]);
  assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('an error has its stack', () => {
  const {log, lines} = createLogLines();
  log.error({err: new Error('boom')}, 'failed');
  assert.match(JSON.stringify(lines[0]?.['err']), /boom.*daemon-log\.test/);
});

test('no key is ever logged, however deep it is', () => {
  const {log, lines} = createLogLines();
  const certificate = {certPem: 'public', keyPem: 'PRIVATE', names: ['a.test'], notAfterMs: 0};
  const snapshot = makeSnapshot('r', [makeCustomer('acme', {certificates: [certificate]})]);
  log.info({snapshot, keyPem: 'PRIVATE', start: {ticketKeys: Buffer.from('PRIVATE'), memory: {hashSecret: Buffer.from('PRIVATE'), banTable: new SharedArrayBuffer(8)}}}, 'all');
  const text = JSON.stringify(lines[0]);
  assert.doesNotMatch(text, /PRIVATE|80,82,73/);
  assert.match(text, /public/);
});

test('an object that contains itself ends', () => {
  const {log, lines} = createLogLines();
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  log.info({loop}, 'round');
  assert.match(JSON.stringify(lines[0]), /too deep/);
});

test('injected line breaks stay inside their line', () => {
  const {log, lines} = createLogLines();
  log.info({host: 'a\n{"level":"fatal"}'}, 'one\ntwo');
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.msg, 'one\ntwo');
});
