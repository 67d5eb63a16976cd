import assert from 'node:assert/strict';
import {describe, it} from 'node:test';
import {choosePins, parseCpuList} from '../../bench/harness/machine.ts';
import {parseOptions} from '../../bench/harness/options.ts';
import {orderOfRound} from '../../bench/harness/run.ts';
import {customerAddress, customersOf, sitesOfHosts} from '../../bench/harness/sites.ts';
import {fillTemplate} from '../../bench/harness/template.ts';
import {parseWrk, wrkScript, type WrkLoad} from '../../bench/load/wrk.ts';
import {SCENARIOS, selectScenarios} from '../../bench/scenarios/all.ts';

describe('wrk', () => {
  const load: WrkLoad = {connections: 1, path: '/', tls: false, bodyBytes: 0, rotatedHosts: 0, newConnections: false, host: 0, pauseMs: 0, isForemost: false};

  it('prints its result as one line of JSON', () => {
    const line = '{"requests":7,"seconds":1.000000,"p50Us":2.0,"p99Us":3.0,"errors":0}';
    assert.deepEqual(parseWrk(`Running 1s test\n\ntorwart-bench-result ${line}\n`), {requests: 7, seconds: 1, p50Us: 2, p99Us: 3, errors: 0});
    assert.throws(() => parseWrk('unable to connect'), /no result: unable to connect/);
  });

  it('runs no Lua per request unless hosts are rotated, be it one', () => {
    assert.doesNotMatch(wrkScript(load), /function request/);
    for (const rotatedHosts of [1, 10]) assert.match(wrkScript({...load, rotatedHosts}), new RegExp(`function request[^]*% ${rotatedHosts}\n`));
  });

  it('sends the body and the connection option that the scenario asks for', () => {
    assert.match(wrkScript({...load, bodyBytes: 4096}), /wrk\.method = "POST"\nwrk\.body = string\.rep\("x", 4096\)/);
    assert.match(wrkScript({...load, newConnections: true}), /"Connection"\] = "close"/);
  });
});

describe('templates', () => {
  it('fills every place', () => {
    assert.equal(fillTemplate('a {{one}} {{two}} {{one}}', {one: 1, two: 'x'}), 'a 1 x 1');
  });

  it('refuses a place without a value and a value without a place', () => {
    assert.throws(() => fillTemplate('{{one}}', {}), /no value/);
    assert.throws(() => fillTemplate('', {one: 1}), /no place for one/);
  });
});

describe('the sites of all contestants', () => {
  it('share the hosts evenly, each exactly once', () => {
    const hosts = customersOf({customers: 3, hosts: 10, tls: true, webSockets: false, foremost: false, revision: 0}).flatMap(customer => customer.hosts);
    assert.equal(hosts.length, 10);
    assert.equal(new Set(hosts).size, 10);
  });

  it('give every customer an address of its own on loopback', () => {
    assert.deepEqual([0, 254, 255, 65_535].map(customerAddress), ['127.0.0.1', '127.0.0.255', '127.0.1.0', '127.1.0.0']);
  });

  it('add one host to the first customer with a new revision', () => {
    const [first, second] = customersOf({customers: 2, hosts: 2, tls: false, webSockets: false, foremost: false, revision: 3});
    assert.deepEqual(first?.hosts, ['h0.bench.example', 'r3.bench.example']);
    assert.deepEqual(second?.hosts, ['h1.bench.example']);
  });

  it('need more than one customer only for very many hosts', () => {
    assert.equal(sitesOfHosts(10_000).customers, 1);
    assert.equal(sitesOfHosts(100_000).customers, 10);
  });
});

describe('the order of a round', () => {
  it('begins with another contestant each time', () => {
    assert.deepEqual([0, 1, 2, 3].map(round => orderOfRound(['a', 'b', 'c'], round).join('')), ['abc', 'bca', 'cab', 'abc']);
    assert.deepEqual(orderOfRound([], 2), []);
  });
});

describe('pins', () => {
  it('leave a single CPU alone, and keep the proxy by itself on more', () => {
    assert.deepEqual(choosePins([0]), {proxy: null, load: null, backend: null, pair: null});
    assert.deepEqual(choosePins([0, 1]), {proxy: 0, load: 1, backend: 1, pair: [0, 1]});
    assert.deepEqual(choosePins([0, 1, 2]), {proxy: 0, load: 1, backend: 2, pair: [0, 2]});
    assert.deepEqual(choosePins([4, 5, 6, 7]), {proxy: 4, load: 5, backend: 6, pair: [4, 7]});
  });

  it('read the list that the kernel gives', () => {
    assert.deepEqual(parseCpuList('0-2,5\n'), [0, 1, 2, 5]);
    assert.deepEqual(parseCpuList('3'), [3]);
  });
});

describe('the command line', () => {
  it('takes scenarios, peers and numbers', () => {
    const options = parseOptions(['--scenario', 'tls', '--scenario', 'get-c1', '--peer', 'nginx', '--seconds', '4', '--rounds', '7', '--json']);
    assert.deepEqual(options.scenarios, ['tls', 'get-c1']);
    assert.deepEqual(options.peers, ['nginx']);
    assert.equal(options.settings.seconds, 4);
    assert.equal(options.settings.rounds, 7);
    assert.equal(options.json, true);
    assert.equal(options.save, false);
  });

  for (const args of [['--seconds', '0'], ['--seconds', '1.5'], ['--rounds', 'x'], ['--rounds', '101'], ['--unknown'], ['--smoke', '--save']]) {
    it(`refuses ${args.join(' ')}`, () => { assert.throws(() => parseOptions(args)); });
  }

  it('selects by name and by group, and refuses what is neither', () => {
    assert.deepEqual(selectScenarios(['get-c1']).map(scenario => scenario.name), ['get-c1']);
    assert.ok(selectScenarios(['hosts']).every(scenario => scenario.group === 'hosts'));
    assert.throws(() => selectScenarios(['nothing']), /no scenario or group nothing/);
  });

  it('has scenarios with names of their own', () => {
    assert.equal(new Set(SCENARIOS.map(scenario => scenario.name)).size, SCENARIOS.length);
  });
});
