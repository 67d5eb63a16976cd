/**
 * The ruleset at work: a gate, where the daemon's user is confined, and the inside, where the servers of two customers are, next to
 * machines that nobody may reach. Who connects is not Torwart but any program under its user, as after a takeover.
 */
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, beforeEach, describe, test} from 'node:test';
import {runFirewall} from '#src/cli/firewall.ts';
import {Cleanup, connectNamespaces, findObstacle, NetworkNamespace, USER_ID, type Scope} from '#test/firewall/namespaces.ts';
import {eventually} from '#test/support/eventually.ts';

const ROOT_ID = 0;

const NODE_TEXT = `
listeners: [{name: http, address: "0.0.0.0:8080", protocol: http}]
admin: {address: "127.0.0.1:9180"}
threads: 1
timeouts: {drain: 1s}
`;

const ACME = `
customer: acme
networks: [10.20.1.0/24, "fd00:20:1::/64"]
source_address: {ipv4: 10.20.250.1, ipv6: "fd00:20:250::1"}
pools: {shop: {servers: [{address: "10.20.1.11:3000"}, {address: "[fd00:20:1::11]:3000"}], health: {interval: 100ms}}}
sites: [{hosts: [acme.example], routes: [{path: /, pool: shop}]}]
`;

const GLOBEX = `
customer: globex
networks: [10.20.2.0/24]
source_address: {ipv4: 10.20.250.2}
pools: {web: {servers: [{address: "10.20.2.11:3000"}]}}
sites: [{hosts: [globex.example], routes: [{path: /, pool: web}]}]
`;

const INITECH = `
customer: initech
networks: [10.20.3.0/24]
pools: {web: {servers: [{address: "10.20.3.11:3000"}]}}
sites: [{hosts: [initech.example], routes: [{path: /, pool: web}]}]
`;

const CUSTOMERS: Readonly<Record<string, string>> = {acme: ACME, globex: GLOBEX, initech: INITECH};

class Stage {
  readonly gate: NetworkNamespace;
  readonly inside: NetworkNamespace;
  folder = '';

  constructor(scope: Scope) {
    this.gate = new NetworkNamespace(scope, 'gate');
    this.inside = new NetworkNamespace(scope, 'inside');
    connectNamespaces(this.gate, 'cable', this.inside, 'cable');
    for (const address of ['10.20.0.1/16', 'fd00:20::1/32']) add(this.gate, address);
    // Never chosen by the system itself.
    for (const address of ['10.20.250.1/32', '10.20.250.2/32', 'fd00:20:250::1/128']) add(this.gate, address, 'preferred_lft 0');
    for (const address of ['10.20.1.11/16', '10.20.1.12/16', '10.20.2.11/16', '10.20.3.11/16', '10.20.9.10/16', '192.0.2.80/32', 'fd00:20:1::11/32', 'fd00:20:1::12/32']) add(this.inside, address);
    this.gate.ip('route add 192.0.2.80 dev cable');
  }

  async writeConfig(scope: Scope): Promise<void> {
    this.folder = await mkdtemp(path.join(tmpdir(), 'torwart-containment-'));
    scope.after(() => rm(this.folder, {recursive: true}));
    // The user of the daemon reads it.
    await chmod(this.folder, 0o755);
    await mkdir(path.join(this.folder, 'customers'));
    await this.writeNode('');
    await this.writeCustomers(CUSTOMERS);
  }

  /** `more`: lines besides those that are always there. */
  async writeNode(more: string): Promise<void> {
    await writeFile(path.join(this.folder, 'torwart.yaml'), `${NODE_TEXT}customers: customers/*.yaml\n${more}`);
  }

  async writeCustomers(customers: Readonly<Record<string, string>>): Promise<void> {
    await rm(path.join(this.folder, 'customers'), {recursive: true});
    await mkdir(path.join(this.folder, 'customers'));
    for (const [name, text] of Object.entries(customers)) await writeFile(path.join(this.folder, 'customers', `${name}.yaml`), text);
  }

  get configFile(): string {
    return path.join(this.folder, 'torwart.yaml');
  }

  /** What `torwart firewall | nft -f -` does. */
  async loadFirewall(): Promise<void> {
    const output = {text: '', errors: ''};
    await runFirewall({configFile: this.configFile, user: String(USER_ID), previousFile: null}, {write: (text) => void (output.text += text)}, {write: (text) => void (output.errors += text)});
    assert.equal(output.errors, '');
    assert.deepEqual(this.gate.nft(output.text), {code: 0, stdout: '', stderr: ''});
  }

  /** As the daemon's user: the address that the server saw, or that the kernel refused the connection. */
  reach(host: string, options: {readonly port?: number; readonly from?: string; readonly user?: number} = {}): string {
    const {port = 3000, from, user = USER_ID} = options;
    const source = from === undefined ? [] : ['--interface', from];
    const {code, stdout} = this.gate.run(asUser(user, ['curl', '--silent', '--max-time', '5', ...source, `http://${host}:${port}/`]));
    return code === 0 ? stdout : code === 7 ? 'refused' : `curl ended with ${code}`;
  }

  refusals(): number {
    const {stdout} = this.gate.run(['nft', 'list', 'counter', 'inet', 'torwart', 'refused']);
    return Number(/packets (\d+)/.exec(stdout)?.[1]);
  }
}

function add(namespace: NetworkNamespace, address: string, options = ''): void {
  const words = ['address add', address, 'dev cable', options, address.includes(':') ? 'nodad' : ''];
  namespace.ip(words.filter((word) => word !== '').join(' '));
}

function asUser(user: number, command: readonly string[]): readonly string[] {
  return ['setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups', '--no-new-privs', ...command];
}

describe('a process of the daemon\'s user', {skip: findObstacle()}, () => {
  const scope = new Cleanup();
  after(() => scope.run());
  const stage = new Stage(scope);
  const said = {inside: ''};

  before(async () => {
    await stage.writeConfig(scope);
    await stage.gate.spawnNode(scope, ROOT_ID, 'servers listen', ['test/firewall/fixtures/servers.ts', '3000']);
    const servers = await stage.inside.spawnNode(scope, ROOT_ID, 'servers listen', ['test/firewall/fixtures/servers.ts', '53', '3000', '3001']);
    servers.stdout.on('data', (chunk: Buffer) => { said.inside += chunk.toString(); });
  });
  beforeEach(() => stage.loadFirewall());

  /** Nothing else stands in the way: other users get there. */
  function assertRefused(host: string, options: {readonly port?: number; readonly from?: string} = {}): void {
    const before = stage.refusals();
    assert.equal(stage.reach(host, options), 'refused', `${host} ${JSON.stringify(options)}`);
    assert.ok(stage.refusals() > before, 'it is counted');
    assert.match(stage.reach(host, {...options, user: ROOT_ID}), /^[0-9a-f.:]+$/, 'root gets there');
  }

  test('reaches the servers that are listed, from the address of their customer', () => {
    assert.equal(stage.reach('10.20.1.11', {from: '10.20.250.1'}), '10.20.250.1');
    assert.equal(stage.reach('10.20.2.11', {from: '10.20.250.2'}), '10.20.250.2');
    assert.equal(stage.reach('[fd00:20:1::11]', {from: 'fd00:20:250::1'}), 'fd00:20:250::1');
    assert.equal(stage.reach('10.20.3.11'), '10.20.0.1');
    assert.equal(stage.refusals(), 0);
  });

  test('reaches no other port', () => {
    assertRefused('10.20.1.11', {port: 3001, from: '10.20.250.1'});
    assertRefused('10.20.3.11', {port: 3001});
    assertRefused('[fd00:20:1::11]', {port: 3001, from: 'fd00:20:250::1'});
  });

  test("reaches no other address, inside the customer's network or anywhere else", () => {
    assertRefused('10.20.1.12', {from: '10.20.250.1'});
    assertRefused('[fd00:20:1::12]', {from: 'fd00:20:250::1'});
    assertRefused('192.0.2.80');
    assertRefused('127.0.0.1');
  });

  test('reaches the store of the fleet where there is one, and nothing else of that machine', async (context) => {
    assertRefused('10.20.9.10');
    context.after(() => stage.writeNode(''));
    await writeFile(path.join(stage.folder, 'fleet.secret'), 'x'.repeat(32));
    await stage.writeNode('fleet: {store: {address: "10.20.9.10:3000"}, secret_file: fleet.secret}\n');
    await stage.loadFirewall();
    assert.equal(stage.reach('10.20.9.10'), '10.20.0.1');
    assertRefused('10.20.9.10', {port: 3001});
  });

  test("reaches no customer's server from another customer's address, or from the machine's own", () => {
    assertRefused('10.20.2.11', {from: '10.20.250.1'});
    assertRefused('10.20.1.11', {from: '10.20.250.2'});
    assertRefused('10.20.1.11');
    assertRefused('[fd00:20:1::11]');
  });

  test('sends no datagram, to a DNS server or to a listed server', async () => {
    for (const [user, word, expected] of [[USER_ID, 'as-user', 1], [ROOT_ID, 'as-root', 0]] as const) {
      for (const address of ['10.20.1.11', '192.0.2.80']) {
        const {code} = stage.gate.run(asUser(user, ['bash', '-c', `echo ${word} >/dev/udp/${address}/53`]));
        assert.equal(code, expected, `${word} ${address}`);
      }
    }
    assert.equal(stage.refusals(), 2);
    await eventually('the datagrams of root have come', () => said.inside.split('as-root').length === 3);
    assert.doesNotMatch(said.inside, /as-user/);
  });

  test('says nothing on a port that is no listener, although it may listen there', async (context) => {
    await stage.gate.spawnNode(context, USER_ID, 'servers listen', ['test/firewall/fixtures/servers.ts', '8080', '4000']);
    const ask = (port: number): string => stage.inside.run(['curl', '--silent', '--max-time', '1', `http://10.20.0.1:${port}/`]).stdout;
    assert.equal(ask(8080), '10.20.1.11');
    const before = stage.refusals();
    assert.equal(ask(4000), '');
    assert.ok(stage.refusals() > before);
  });

  test('keeps what is open when a reload takes its server away, and opens nothing new', async (context) => {
    const talk = 'exec 3<>/dev/tcp/10.20.3.11/3000; while read -r line; do echo "$line" >&3; read -r answer <&3 || exit 9; echo "said $answer"; done';
    const talker = spawn('ip', ['netns', 'exec', stage.gate.name, ...asUser(USER_ID, ['bash', '-c', talk])]);
    context.after(() => { talker.kill('SIGKILL'); });
    const heard = {text: ''};
    talker.stdout.on('data', (chunk: Buffer) => { heard.text += chunk.toString(); });
    talker.stdin.write('one\n');
    await eventually('the first word comes back', () => heard.text.includes('said one'));

    await stage.writeCustomers({acme: ACME});
    context.after(() => stage.writeCustomers(CUSTOMERS));
    await stage.loadFirewall();
    talker.stdin.write('two\n');
    await eventually('the second word comes back', () => heard.text.includes('said two'));
    assertRefused('10.20.3.11');
  });

  test('other users are not concerned', () => {
    assert.equal(stage.reach('192.0.2.80', {user: USER_ID + 1}), '10.20.0.1');
    assert.equal(stage.refusals(), 0);
  });

  test('Torwart serves, probes and is asked for metrics within it', async (context) => {
    const daemon = await stage.gate.spawnNode(context, USER_ID, '"msg":"serving"', ['src/main.ts', 'run', '--config', stage.configFile]);
    const ask = (host: string, output = '-'): string => {
      const options = ['--silent', '--max-time', '5', '--header', `host: ${host}`, '--output', output];
      return stage.inside.run(['curl', ...options, '--write-out', ' %{http_code}', 'http://10.20.0.1:8080/']).stdout;
    };
    await eventually('probes have found both servers of acme', () => {
      const seen = new Set([ask('acme.example'), ask('acme.example'), ask('acme.example')]);
      return seen.has('10.20.250.1 200') && seen.has('fd00:20:250::1 200');
    });
    assert.equal(ask('globex.example'), '10.20.250.2 200');
    assert.equal(ask('initech.example'), '10.20.0.1 200');
    assert.equal(stage.refusals(), 0);
    for (const user of [ROOT_ID, USER_ID]) {
      const {stdout} = stage.gate.run(asUser(user, ['curl', '--silent', '--max-time', '5', 'http://127.0.0.1:9180/metrics']));
      assert.match(stdout, /torwart_/, `user ${user}`);
    }

    // A configuration that is in force before its ruleset: the kernel has the last word.
    await stage.writeCustomers({...CUSTOMERS, initech: INITECH.replace(':3000', ':3001')});
    context.after(() => stage.writeCustomers(CUSTOMERS));
    daemon.kill('SIGHUP');
    await eventually('the new server is in force and cannot be reached', () => ask('initech.example', '/dev/null') === ' 502');
    assert.ok(stage.refusals() > 0);
    await stage.loadFirewall();
    await eventually('the new server is reached', () => ask('initech.example') === '10.20.0.1 200');
  });
});
