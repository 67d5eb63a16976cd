import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {cidrsOverlap, formatCidr, parseCidr} from '#src/core/ip.ts';
import {type Claimant, findConflicts, findContested, findShadowedHosts, listClaims} from '#src/config/conflicts.ts';
import type {CustomerSnapshot} from '#src/config/snapshot.ts';
import {pairChanges} from '#src/config/sorted-lists.ts';
import {testProperty} from '#test/support/property.ts';

function customer(name: string, traits: {readonly networks?: readonly string[]; readonly hosts?: readonly string[]}): Claimant {
  const {networks = [], hosts = []} = traits;
  const snapshot: CustomerSnapshot = {name, revision: '', weight: 1, networks, sourceAddress: {ipv4: null, ipv6: null}, certificates: [], pools: [], auth: [], loginGuards: [], sites: [{hosts, routes: []}], limits: [], rules: [], caps: {websocketsMax: 1, websocketsPerClientMax: 1, connectionsMax: 1000, handshakesMax: 1000, requestsMax: 1000, bufferedBytesMax: 2 ** 30}};
  return {file: `${name}.yaml`, customer: snapshot, claimed: listClaims(snapshot)};
}

/** Small IPv4 and IPv6 networks that often overlap. */
const network = fc.tuple(fc.boolean(), fc.integer({min: 0, max: 4}), fc.nat(15)).map(([isIpv6, prefix, bits]) => {
  const kept = bits & (0xf0 >> prefix) & 0xf;
  return isIpv6 ? `fd00:0:0:${kept.toString(16)}000::/${48 + prefix}` : `10.${kept * 16}.0.0/${8 + prefix}`;
});

function overlap(a: Claimant, b: Claimant): boolean {
  return a.customer.networks.some((one) => b.customer.networks.some((other) => {
    const [first, second] = [parseCidr(one), parseCidr(other)];
    assert.ok(first !== null && second !== null, `${one} ${other}`);
    return cidrsOverlap(first, second);
  }));
}

testProperty('a customer is in a conflict about networks if and only if one of its networks overlaps with another customer\'s', fc.property(fc.array(fc.array(network, {maxLength: 4}), {maxLength: 6}), (lists) => {
  const subjects = lists.map((networks, index) => customer(`c${index}`, {networks}));
  const conflicts = findConflicts(subjects);
  const found = new Set(conflicts.flatMap(({claims}) => claims.map(({claimant}) => claimant.file)));
  const expected = subjects.filter((subject) => subjects.some((other) => other !== subject && overlap(subject, other)));
  assert.deepEqual([...found].sort(), expected.map(({file}) => file).sort());
  for (const {claims: [first, second]} of conflicts) {
    assert.notEqual(first.claimant, second.claimant);
    assert.ok(overlap(customer('a', {networks: [first.text]}), customer('b', {networks: [second.text]})));
  }
}), 500);

const claims = fc.record({name: fc.constantFrom('a', 'b', 'c', 'd', 'e'), hosts: fc.uniqueArray(fc.constantFrom('a.example', 'b.example', '*.example', 'c.other'), {maxLength: 2}), networks: fc.array(network, {maxLength: 2})});
/** What becomes of a file: it stays (null), it is gone, or it says something else. */
const version = fc.option(fc.oneof({weight: 4, arbitrary: claims}, fc.constant('gone' as const)));

testProperty('where nobody was in conflict before, the contested ones have all conflicts', fc.property(fc.array(fc.tuple(claims, version), {maxLength: 6}), (files) => {
  const before: Claimant[] = [], after: Claimant[] = [];
  for (const [index, [{name, ...traits}, then]] of files.entries()) {
    const file = `${index}.yaml`, old = {...customer(name, traits), file};
    const isFree = findConflicts([...before, old]).length === 0;
    if (isFree) before.push(old);
    if (then === null && isFree) after.push(old);
    if (typeof then === 'object' && then !== null) after.push({...customer(then.name, then), file});
  }
  assert.deepEqual(findConflicts(findContested(after, pairChanges(before, after, ({file}) => file))), findConflicts(after));
}), 1000);

test('a customer may have networks inside its own', () => {
  assert.deepEqual(findConflicts([customer('a', {networks: ['10.0.0.0/8', '10.1.0.0/16']}), customer('b', {networks: ['192.168.0.0/16']})]), []);
});

test('the same text is a conflict, a name below a wildcard is not', () => {
  const subjects = [customer('a', {hosts: ['*.a.example', 'x.example']}), customer('b', {hosts: ['x.a.example', '*.x.a.example', 'a.example', 'x.example']})];
  assert.deepEqual(findConflicts(subjects).map(({kind, claims}) => [kind, claims[0].text]), [['host', 'x.example']]);
  assert.deepEqual(findShadowedHosts(subjects).map(({claim, wildcard}) => [claim.text, wildcard.text]), [['x.a.example', '*.a.example'], ['*.x.a.example', '*.a.example']]);
});

test('the largest number of customers costs no more than a sort', () => {
  const subjects = Array.from({length: 20_000}, (_, index) => customer(`c${index}`, {networks: [formatCidr({base: {family: 4, words: [0, 0, 0xffff, 0x0a000000 + index * 256]}, prefixLength: 24})], hosts: [`h${index}.example`]}));
  assert.deepEqual(findConflicts(subjects), []);
});
