import assert from 'node:assert/strict';
import net from 'node:net';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {refuseDial, type DialScope} from '#src/core/dial-guard.ts';
import {formatIp, parseCidrs, parseIp} from '#src/core/ip.ts';
import {testProperty} from '#test/support/property.ts';

const CUSTOMER = {networks: parseCidrs(['10.20.1.0/24', '127.10.1.0/24', 'fd00:20:1::/64']), ownListeners: []};
const EVERYTHING = {networks: parseCidrs(['0.0.0.0/0', '::/0']), ownListeners: []};

function judge(address: string, scope: DialScope = CUSTOMER, port = 3000): string | null {
  return refuseDial({address, port}, scope);
}

test('servers inside the networks may be dialled', () => {
  for (const address of ['10.20.1.0', '10.20.1.11', '10.20.1.255', '127.10.1.11', 'fd00:20:1::11', 'FD00:20:1:0::11']) assert.equal(judge(address), null, address);
});

test('an address that has moved out of the networks is refused at the connect, whatever was checked before', () => {
  const rebound = ['10.20.0.255', '10.20.2.0', '10.21.1.11', '127.0.0.1', '192.168.0.1', '203.0.113.7', 'fd00:20:2::11', '::1', '2001:db8::1'];
  for (const address of rebound) assert.equal(judge(address), 'outside the permitted networks', address);
  assert.equal(judge('10.20.1.11', {...CUSTOMER, networks: []}), 'outside the permitted networks');
});

test('names and everything that a resolver would have to read are refused', () => {
  const names = [
    'localhost', 'shop.acme.example', '', ' ', '10.20.1', '10.20.1.11 ', '10.20.1.011', '0x0a140111', '169083153', '10.20.1.11.', '10.20.1.11\0', '10.20.1.11:80',
    '[fd00:20:1::11]', 'fd00:20:1::11%eth0', 'fe80::1%1', '１0.20.1.11', '10.20.1.11/32',
  ];
  for (const address of names) assert.equal(judge(address, EVERYTHING), 'not an IP address', JSON.stringify(address));
});

test('an IPv4-mapped IPv6 address is the IPv4 address', () => {
  assert.equal(judge('::ffff:10.20.1.11'), null);
  assert.equal(judge('::ffff:a14:10b'), null);
  assert.equal(judge('::ffff:10.20.2.11'), 'outside the permitted networks');
  assert.equal(judge('::ffff:169.254.169.254', EVERYTHING), 'an unspecified, link-local, multicast or reserved address');
  assert.equal(judge('::ffff:0.0.0.0', EVERYTHING), 'an unspecified, link-local, multicast or reserved address');
});

test('no scope is wide enough for addresses of no single, known host', () => {
  const never = ['0.0.0.0', '0.1.2.3', '169.254.0.1', '169.254.169.254', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '::', 'fe80::1', 'febf::1', 'ff02::1'];
  for (const address of never) assert.equal(judge(address, EVERYTHING), 'an unspecified, link-local, multicast or reserved address', address);
  for (const address of ['1.1.1.1', '223.255.255.255', '10.0.0.1', '::1', 'fec0::1', '2001:db8::1']) assert.equal(judge(address, EVERYTHING), null, address);
});

test('where clouds hand out credentials at an address that looks like one of a customer', () => {
  const wide = {...CUSTOMER, networks: parseCidrs(['100.64.0.0/10', 'fc00::/7'])};
  for (const address of ['fd00:ec2::254', 'FD00:EC2:0::23', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:c1::169.254.169.254', 'fd00:42::42', '100.100.100.200', '::ffff:100.100.100.200']) {
    assert.equal(judge(address, wide, 80), 'the metadata service of a cloud', address);
  }
  for (const address of ['fd00:ec3::254', 'fd20:ce::253', 'fd00:42::43', '100.100.100.100']) assert.equal(judge(address, wide), null, address);
});

test('the listeners of Torwart itself are refused, the admin listener too', () => {
  const ownListeners = [{address: '10.20.1.11', port: 8443}, {address: 'fd00:20:1::11', port: 8443}, {address: '10.20.1.12', port: 9180}];
  const scope = {...CUSTOMER, ownListeners};
  for (const [address, port] of [['10.20.1.11', 8443], ['::ffff:10.20.1.11', 8443], ['fd00:20:1:0::11', 8443], ['10.20.1.12', 9180]] as const) {
    assert.equal(judge(address, scope, port), 'a listener of Torwart itself', address);
  }
  for (const [address, port] of [['10.20.1.11', 3000], ['10.20.1.12', 8443], ['fd00:20:1::12', 8443]] as const) assert.equal(judge(address, scope, port), null, address);
});

test('a wildcard listener is on every loopback address of its own family', () => {
  const wide = {networks: EVERYTHING.networks, ownListeners: [{address: '0.0.0.0', port: 80}, {address: '::', port: 81}]};
  assert.equal(judge('127.10.1.11', wide, 80), 'a listener of Torwart itself');
  assert.equal(judge('::1', wide, 81), 'a listener of Torwart itself');
  assert.equal(judge('::1', wide, 80), null);
  assert.equal(judge('127.10.1.11', wide, 81), null);
});

const text = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.domain(), fc.stringMatching(/^[0-9a-f:.%x]{1,45}$/));

testProperty('what the guard lets pass is a literal for Node too, and the same address: nothing is left to resolve', fc.property(text, (address) => {
  if (judge(address, EVERYTHING) !== null) return;
  const ip = parseIp(address);
  assert.notEqual(net.isIP(address), 0, address);
  assert.ok(ip !== null);
  const list = new net.BlockList();
  list.addAddress(formatIp(ip), ip.family === 4 ? 'ipv4' : 'ipv6');
  assert.ok(list.check(address, net.isIPv4(address) ? 'ipv4' : 'ipv6'), address);
}), 2_000);
