import assert from 'node:assert/strict';
import {BlockList, isIP} from 'node:net';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {
  cidrContains, cidrIncludes, CidrSet, cidrsOverlap, clientNetwork, formatCidr, formatIp, isInternalCidr, parseCidr, parseIp,
  type Cidr, type IpAddress, type IpWords,
} from '#src/core/ip.ts';
import {testProperty} from '#test/support/property.ts';

function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  assert.ok(parsed, `${text} is an address`);
  return parsed;
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  assert.ok(parsed, `${text} is a network`);
  return parsed;
}

/** The 128 bits as one number: the model that all word arithmetic is checked against. */
function toBits({words}: IpAddress): bigint {
  return words.reduce((bits, word) => (bits << 32n) | BigInt(word), 0n);
}

function fromBits(bits: bigint): IpAddress {
  const word = (shift: bigint): number => Number((bits >> shift) & 0xffff_ffffn);
  const words: IpWords = [word(96n), word(64n), word(32n), word(0n)];
  return {family: bits >> 32n === 0xffffn ? 4 : 6, words};
}

function range({base, prefixLength}: Cidr): {family: number; first: bigint; last: bigint} {
  const hostBits = BigInt((base.family === 4 ? 32 : 128) - prefixLength);
  return {family: base.family, first: toBits(base), last: toBits(base) + (1n << hostBits) - 1n};
}

const anyIpv4 = fc.bigInt(0n, 0xffff_ffffn).map((bits) => fromBits((0xffffn << 32n) | bits));
/** With many zero groups: they are what the text form is about. */
const anyIpv6 = fc.array(fc.oneof(fc.constant(0n), fc.bigInt(0n, 0xffffn)), {minLength: 8, maxLength: 8})
  .map((groups) => groups.reduce((bits, group) => (bits << 16n) | group, 0n))
  .filter((bits) => bits >> 32n !== 0xffffn).map(fromBits);
const anyIp = fc.oneof(anyIpv4, anyIpv6);

function networkOf(address: IpAddress, prefixLength: number): Cidr {
  const hostBits = BigInt((address.family === 4 ? 32 : 128) - prefixLength);
  const base: IpAddress = {family: address.family, words: fromBits((toBits(address) >> hostBits) << hostBits).words};
  return {base, prefixLength};
}

const anyCidr = fc.tuple(anyIp, fc.nat(128)).map(([address, length]) => networkOf(address, address.family === 4 ? length % 33 : length));
/** Addresses in few bits, so that networks nest and addresses hit them. */
const nearIpv4 = fc.nat(255).map((low) => fromBits((0xffffn << 32n) | 0x0a00_0000n | BigInt(low)));
const nearIpv6 = fc.nat(255).map((high) => fromBits((0x20n << 120n) | (BigInt(high) << 64n)));
const nearIp = fc.oneof(nearIpv4, nearIpv6);
const nearCidr = fc.oneof(
  fc.tuple(nearIpv4, fc.integer({min: 22, max: 32})).map(([address, length]) => networkOf(address, length)),
  fc.tuple(nearIpv6, fc.integer({min: 54, max: 64})).map(([address, length]) => networkOf(address, length)),
);

test('an address is read in every form of RFC 4291 and written as RFC 5952 wants it', () => {
  const forms: Record<string, string> = {
    '0.0.0.0': '0.0.0.0',
    '255.255.255.255': '255.255.255.255',
    '203.0.113.7': '203.0.113.7',
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    'FE80:0:0:0:0:0:0:1': 'fe80::1',
    '2001:0DB8::0001': '2001:db8::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:db8:1:1:1:1:1::': '2001:db8:1:1:1:1:1:0',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
    '1:2:3:4:5:6:1.2.3.4': '1:2:3:4:5:6:102:304',
  };
  for (const [text, canonical] of Object.entries(forms)) assert.equal(formatIp(ip(text)), canonical);
});

test('an IPv4-mapped IPv6 address is the IPv4 address', () => {
  for (const text of ['::ffff:10.1.2.3', '::FFFF:0a01:0203', '0:0:0:0:0:ffff:a01:203']) {
    assert.deepEqual(ip(text), ip('10.1.2.3'));
  }
  assert.equal(ip('::10.1.2.3').family, 6, 'the deprecated IPv4-compatible form is not');
});

test('everything that is not exactly an address is refused', () => {
  const refused = [
    '', ' ', '1', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '1..2.3', '01.2.3.4', '1.2.3.00', '1.2.3.256', '1.2.3.1000', '0x1.2.3.4',
    '1.2.3.4 ', ' 1.2.3.4', '+1.2.3.4', '1.2.3.-4', '١.2.3.4', '1.2.3.4\n', '4294967295', '1.2.3.4:80',
    ':', ':::', '1:::2', '1::2::3', ':1::', '1:', '::1:', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8', '12345::', '::g', '::1%eth0',
    '[::1]', '::1.2.3', '::01.2.3.4', '1.2.3.4::', '::1.2.3.4:5', '1:2:3:4:5:6:7:1.2.3.4', '::ffff:1.2.3.256', '::-1', ':: 1', '::1/128',
    '0000:0000:0000:0000:0000:0000:255.255.255.2555', `${'0'.repeat(60)}::1`,
  ];
  for (const text of refused) assert.equal(parseIp(text), null, JSON.stringify(text));
});

testProperty('text and back', fc.property(anyIp, (address) => assert.deepEqual(parseIp(formatIp(address)), address)));

testProperty('never accepts what Node does not', fc.property(
  fc.string({unit: fc.constantFrom('0', '1', '2', '25', 'f', 'F', ':', '::', '.', '%', '/', ' ', 'ffff', 'g'), maxLength: 16, size: 'max'}),
  (text) => {
    const parsed = parseIp(text);
    if (parsed !== null) assert.notEqual(isIP(text), 0);
    else if (isIP(text) !== 0) assert.match(text, /%/, 'only zones are refused beyond what Node refuses');
  },
), 2_000);

test('a network is an address and a prefix length, without bits beyond it', () => {
  assert.equal(formatCidr(cidr('10.0.0.0/8')), '10.0.0.0/8');
  assert.equal(formatCidr(cidr('192.0.2.1')), '192.0.2.1/32');
  assert.equal(formatCidr(cidr('0.0.0.0/0')), '0.0.0.0/0');
  assert.equal(formatCidr(cidr('FD00:20:1::/64')), 'fd00:20:1::/64');
  assert.equal(formatCidr(cidr('::ffff:192.0.2.1')), '192.0.2.1/32');
  const refused = [
    '', '/', '/8', '10.0.0.1/8', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/+8', '10.0.0.0/8 ', '10.0.0.0/8/8', '10.0.0.0/-1',
    '10.0.0.0/1e1', '10/8', 'fd00::1/64', 'fd00::/129', '::ffff:10.0.0.0/104', '::ffff:10.0.0.0/8',
  ];
  for (const text of refused) assert.equal(parseCidr(text), null, JSON.stringify(text));
});

testProperty('networks relate as their ranges do', fc.property(fc.oneof(anyCidr, nearCidr), nearCidr, nearIp, (a, b, address) => {
  const x = range(a), y = range(b), bits = toBits(address);
  assert.deepEqual(parseCidr(formatCidr(a)), a);
  assert.equal(cidrContains(b, address), y.family === address.family && y.first <= bits && bits <= y.last);
  assert.equal(cidrIncludes(a, b), x.family === y.family && x.first <= y.first && y.last <= x.last);
  assert.equal(cidrsOverlap(a, b), x.family === y.family && x.first <= y.last && y.first <= x.last);
}), 1_000);

test('networks never reach into the other family', () => {
  assert.equal(cidrContains(cidr('::/0'), ip('10.0.0.1')), false);
  assert.equal(cidrContains(cidr('0.0.0.0/0'), ip('::1')), false);
  assert.equal(cidrsOverlap(cidr('::/0'), cidr('0.0.0.0/0')), false);
});

test('internal networks are those that the internet cannot route to, whole', () => {
  const internal = ['10.20.1.0/24', '10.0.0.0/8', '172.31.255.255', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.1', 'fd00:20:1::/64', 'fc00::/7', '::1'];
  const external = ['10.0.0.0/7', '172.32.0.0/12', '192.169.0.0/16', '100.128.0.0/10', '8.8.8.8', '0.0.0.0/0', '169.254.169.254', '::/0', '::', 'fe80::/10', '2001:db8::/32'];
  for (const text of internal) assert.equal(isInternalCidr(cidr(text)), true, text);
  for (const text of external) assert.equal(isInternalCidr(cidr(text)), false, text);
});

test('one client is an IPv4 address or an IPv6 /64', () => {
  assert.deepEqual(clientNetwork(ip('192.0.2.1')), ip('192.0.2.1'));
  assert.deepEqual(clientNetwork(ip('2001:db8:1:2:aaaa:bbbb:cccc:dddd')), ip('2001:db8:1:2::'));
  assert.equal(clientNetwork(ip('0:0:1:2:3:ffff:1:1')).family, 6);
});

testProperty('a set holds what one of its networks holds', fc.property(
  fc.array(fc.oneof(anyCidr, nearCidr), {maxLength: 40, size: 'max'}), fc.array(fc.oneof(nearIp, anyIp), {maxLength: 40, size: 'max'}),
  (networks, addresses) => {
    const set = new CidrSet(networks);
    assert.equal(set.isEmpty, networks.length === 0);
    for (const address of [...addresses, ...networks.map(({base}) => base)]) {
      assert.equal(set.has(address), networks.some((network) => cidrContains(network, address)), formatIp(address));
    }
  },
), 500);

test('a set of thousands agrees with the block list of Node', () => {
  const set: Cidr[] = [];
  const blockList = new BlockList();
  for (let i = 0; i < 5_000; i++) {
    const text = `10.${i % 250}.${(i * 7) % 256}.0`;
    set.push(cidr(`${text}/24`));
    blockList.addSubnet(text, 24, 'ipv4');
  }
  const cidrs = new CidrSet(set);
  for (let i = 0; i < 5_000; i++) {
    const text = `10.${(i * 31) % 256}.${(i * 17) % 256}.${i % 256}`;
    assert.equal(cidrs.has(ip(text)), blockList.check(text), text);
  }
});
