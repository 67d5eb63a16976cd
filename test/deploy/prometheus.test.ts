/** The alert rules use metrics that exist, say what they say in their own tests, and are explained to whoever is woken by them. */
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import path from 'node:path';
import {test} from 'node:test';
import {parse} from 'yaml';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {FAULT_CODES} from '#src/core/faults.ts';
import {createExposition} from '#src/observe/exposition.ts';
import {NODE_ROW_LENGTH, rowsByteLength} from '#src/shared/counters.ts';
import {makeCustomer, makeSnapshot} from '#test/control/fixtures/snapshots.ts';
import {readSource, ROOT} from '#test/style/sources.ts';

interface Rules {
  readonly groups: readonly {readonly rules: readonly {readonly alert: string; readonly expr: string}[]}[];
}

const RULES = (parse(readSource('deploy/prometheus/alerts.yaml').text) as Rules).groups.flatMap(({rules}) => rules);

function exposedNames(): ReadonlySet<string> {
  const configuration = new SlotBook(1).assign(makeSnapshot('abc', [makeCustomer('acme')]));
  const registry = createExposition({
    nodeCounters: {buffer: new SharedArrayBuffer(rowsByteLength(NODE_ROW_LENGTH, 1)), byteOffset: 0}, nodePlaces: createSharedMemory(1, 1).places, caps: () => configuration.snapshot.node.caps,
    version: '1', threads: 1, clock: () => 0, revision: () => 'abc', isReady: () => true, isConfigSaved: () => true, threadReports: () => [], bans: () => ({node: 0, customer: 0, evicted: 0, isSaved: true}), fleet: () => ({isUp: true, exchanges: {done: 5, failed: 1}, untold: 2, bans: {adopted: 3, published: 4, refused: 5}}), limitExcesses: () => [{customer: '', limit: 'per-client', mode: 'enforce', count: 0}], ruleMatches: () => [], loginTotals: () => [],
    customers: () => configuration.assignments.values(),
    reload: () => ({counts: {success: 0, partial: 0, failure: 0}, lastSuccessMs: 0, lastDurationMs: 0, lastOutcome: 'success', staleCustomers: []}),
  });
  return new Set(registry.getMetricsAsArray().map(({name}) => name));
}

test('alerts and their explanations use metrics that exist', () => {
  const names = exposedNames();
  const texts = [...RULES.map(({expr}) => expr), readSource('docs/operations.md').text, readSource('README.md').text];
  const used = texts.flatMap((text) => text.match(/\btorwart_[a-z_]+/g) ?? []).map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
  assert.deepEqual(used.filter((name) => !names.has(name)), []);
});

test('alerts name fault codes that exist', () => {
  const codes = RULES.flatMap(({expr}) => [...expr.matchAll(/code=~?"([^"]+)"/g)]).flatMap(([, value = '']) => value.split('|'));
  assert.ok(codes.length > 0);
  assert.deepEqual(codes.filter((code) => !(FAULT_CODES as readonly string[]).includes(code)), []);
});

test('every alert is explained', () => {
  const {text} = readSource('docs/operations.md');
  assert.deepEqual(RULES.map(({alert}) => alert).filter((alert) => !text.includes(`| \`${alert}\` |`)), []);
});

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined;

test('promtool accepts the rules and runs their tests', {skip: hasPromtool ? false : 'promtool is not installed (Debian package prometheus)'}, () => {
  for (const args of [['check', 'rules', 'alerts.yaml'], ['test', 'rules', 'alerts.test.yaml']]) {
    const {status, stdout, stderr} = spawnSync('promtool', args, {cwd: path.join(ROOT, 'deploy/prometheus'), encoding: 'utf8'});
    assert.equal(status, 0, stdout + stderr);
  }
});
