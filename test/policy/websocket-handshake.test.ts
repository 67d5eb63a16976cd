/** RFC 6455 §4: which requests are handshakes, and which answers accept them. */
import assert from 'node:assert/strict';
import {suite, test} from 'node:test';
import {RequestHead} from '#src/http1/request-head.ts';
import {ResponseHead} from '#src/http1/response-head.ts';
import {isAcceptance, readOffer, wantsWebSocket, type WebSocketOffer} from '#src/policy/websocket-handshake.ts';
import {isOriginAllowed, compileOriginPolicy} from '#src/policy/websocket-origin.ts';
import {ACCEPT, acceptance, handshake, type Changes} from '#test/websocket/handshakes.ts';

function parseRequest(text: string): RequestHead {
  const head = new RequestHead();
  assert.equal(head.parse(Buffer.from(text, 'latin1'), 0, text.length), text.length, head.fault);
  return head;
}

function offerOf(changes: Changes = {}, startLine?: string): WebSocketOffer | string {
  return readOffer(parseRequest(handshake(changes, startLine)), null);
}

suite('a request is a handshake', () => {
  test('with the key of RFC 6455 §1.3', () => {
    assert.deepEqual(offerOf(), {accept: ACCEPT, protocols: new Set(), extensions: new Set()});
  });

  test('whatever the case of the tokens, and with keep-alive beside the upgrade', () => {
    assert.equal(typeof offerOf({upgrade: 'WebSocket', connection: 'keep-alive, upgrade'}), 'object');
  });

  test('with protocols and extensions, over several lines', () => {
    const offer = offerOf({
      'sec-websocket-protocol': ['chat.v2, chat', 'Mqtt'],
      'sec-websocket-extensions': ['permessage-deflate; client_max_window_bits; server_max_window_bits="10", x-Custom', 'permessage-deflate'],
    });
    assert.deepEqual(offer, {accept: ACCEPT, protocols: new Set(['chat.v2', 'chat', 'Mqtt']), extensions: new Set(['permessage-deflate', 'x-custom'])});
  });
});

suite('a request is none', () => {
  const FAULTY: readonly (readonly [why: string, changes: Changes, startLine?: string])[] = [
    ['another method', {}, 'POST /ws HTTP/1.1'],
    ['HTTP/1.0', {}, 'GET /ws HTTP/1.0'],
    ['another protocol beside it', {upgrade: 'websocket, h2c'}],
    ['a version behind it', {upgrade: 'websocket/13'}],
    ['the field twice', {upgrade: ['websocket', 'websocket']}],
    ['no upgrade in Connection', {connection: 'keep-alive'}],
    ['no Connection', {connection: null}],
    ['no key', {'sec-websocket-key': null}],
    ['two keys', {'sec-websocket-key': ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ==']}],
    ['a key that Connection takes away', {connection: 'Upgrade, Sec-WebSocket-Key'}],
    ['a key of 15 bytes', {'sec-websocket-key': 'dGhlIHNhbXBsZSBub25j'}],
    ['a key of 17 bytes', {'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZWU='}],
    ['a key with bits beyond its last byte', {'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZR=='}],
    ['a key without padding', {'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ'}],
    ['a key in the other alphabet', {'sec-websocket-key': 'dGhlIHNhbXBs_SBub25jZQ=='}],
    ['no version', {'sec-websocket-version': null}],
    ['two versions', {'sec-websocket-version': ['13', '8']}],
    ['a length, even of nothing', {'content-length': '0'}],
    ['a body', {'content-length': '5'}],
    ['chunks', {'transfer-encoding': 'chunked'}],
    ['an expectation', {expect: '100-continue'}],
    ['an empty protocol', {'sec-websocket-protocol': 'chat,,x'}],
    ['a protocol twice', {'sec-websocket-protocol': 'chat, chat'}],
    ['a protocol that is no token', {'sec-websocket-protocol': 'a b'}],
    ['an extension that is no token', {'sec-websocket-extensions': 'a b'}],
    ['a parameter that is no token', {'sec-websocket-extensions': 'a; b c'}],
    ['a value that is no token', {'sec-websocket-extensions': 'a; b="c d"'}],
    ['an empty value', {'sec-websocket-extensions': 'a; b=""'}],
  ];
  test('with blanks in the middle, which a quadratic reader never gets over', () => {
    for (const name of ['sec-websocket-protocol', 'sec-websocket-extensions']) {
      const head = parseRequest(handshake({[name]: `a${' '.repeat(15_000)}b`}));
      for (let i = 0; i < 1000; i++) assert.equal(readOffer(head, null), 'websocket_invalid');
    }
  });

  for (const [why, changes, startLine] of FAULTY) {
    test(`with ${why}`, () => {
      assert.equal(offerOf(changes, startLine), 'websocket_invalid');
      assert.ok(wantsWebSocket(parseRequest(handshake(changes, startLine))), 'it is not taken for a request without a wish');
    });
  }

  test('with another version', () => {
    for (const version of ['8', '013', '13, 8', '14']) assert.equal(offerOf({'sec-websocket-version': version}), 'websocket_version');
  });

  test('and nothing is said of other protocols', () => {
    assert.ok(!wantsWebSocket(parseRequest(handshake({upgrade: 'h2c'}))));
  });
});

suite('an answer', () => {
  const offer: WebSocketOffer = {accept: ACCEPT, protocols: new Set(['chat', 'Mqtt']), extensions: new Set(['permessage-deflate'])};

  function accepts(text: string): boolean {
    const head = new ResponseHead();
    assert.equal(head.parse(Buffer.from(text, 'latin1'), 0, text.length, 'GET'), text.length, head.fault);
    return isAcceptance(head, offer);
  }

  test('accepts what was offered', () => {
    for (const changes of [
      {}, {upgrade: 'WebSocket', connection: 'keep-alive, UPGRADE'}, {'sec-websocket-protocol': 'Mqtt'},
      {'sec-websocket-extensions': 'permessage-deflate; server_no_context_takeover'},
    ]) assert.ok(accepts(acceptance(changes)), JSON.stringify(changes));
  });

  const FAULTY: readonly (readonly [why: string, changes: Changes, startLine?: string])[] = [
    ['for another key', {'sec-websocket-accept': 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='}],
    ['for the key in lower case', {'sec-websocket-accept': ACCEPT.toLowerCase()}],
    ['without a proof', {'sec-websocket-accept': null}],
    ['with two proofs', {'sec-websocket-accept': [ACCEPT, ACCEPT]}],
    ['with a proof that Connection takes away', {connection: 'Upgrade, Sec-WebSocket-Accept'}],
    ['to another protocol', {upgrade: 'h2c'}],
    ['to two protocols', {upgrade: ['websocket', 'h2c']}],
    ['without Upgrade', {upgrade: null}],
    ['without Connection', {connection: null}],
    ['with a length', {'content-length': '0'}],
    ['with chunks', {'transfer-encoding': 'chunked'}],
    ['with a protocol that nobody offered', {'sec-websocket-protocol': 'mqtt'}],
    ['with two protocols', {'sec-websocket-protocol': ['chat', 'Mqtt']}],
    ['with a list of protocols', {'sec-websocket-protocol': 'chat, Mqtt'}],
    ['with an extension that nobody offered', {'sec-websocket-extensions': 'permessage-deflate, x-evil'}],
    ['with a malformed extension', {'sec-websocket-extensions': 'permessage-deflate;'}],
    ['of HTTP/1.0', {}, 'HTTP/1.0 101 Switching Protocols'],
    ['with another status', {}, 'HTTP/1.1 102 Processing'],
  ];
  for (const [why, changes, startLine] of FAULTY) {
    test(`${why} accepts nothing`, () => {
      assert.ok(!accepts(acceptance(changes, startLine)));
    });
  }
});

suite('a page', () => {
  function allows(origins: readonly string[], values: readonly string[], authority = 'acme.test', scheme: 'http' | 'https' = 'https'): boolean {
    return isOriginAllowed(compileOriginPolicy({origins, isMissingOriginAllowed: false, idleMs: 1}), values, scheme, authority);
  }

  test('of the same origin has the same scheme, host and port', () => {
    assert.ok(allows(['same-origin'], ['https://acme.test']));
    assert.ok(allows(['same-origin'], ['https://acme.test'], 'acme.test:443'));
    assert.ok(allows(['same-origin'], ['https://acme.test:8443'], 'acme.test:8443'));
    assert.ok(allows(['same-origin'], ['http://acme.test'], 'acme.test:80', 'http'));
    assert.ok(allows(['same-origin'], ['https://[fd00::1]'], '[fd00::1]:443'));
    for (const other of ['http://acme.test', 'https://acme.test:8443', 'https://www.acme.test', 'https://acme.test.evil.test', 'https://acme.test/', 'null', 'same-origin', '']) {
      assert.ok(!allows(['same-origin'], [other]), other);
    }
  });

  test('of a listed origin is let in, and no other', () => {
    assert.ok(allows(['https://app.test'], ['https://app.test']));
    for (const other of ['https://acme.test', 'https://APP.test', 'https://app.test:443', 'https://app.test https://evil.test']) assert.ok(!allows(['https://app.test'], [other]), other);
  });

  test('of any origin is let in where that is written', () => {
    for (const origin of ['https://evil.test', 'null']) assert.ok(allows(['any'], [origin]));
    assert.ok(!allows(['any'], ['any', 'https://acme.test']), 'two origins are none');
  });

  test('that says nothing is let in where that is allowed', () => {
    assert.ok(!allows(['any'], []));
    assert.ok(isOriginAllowed(compileOriginPolicy({origins: ['same-origin'], isMissingOriginAllowed: true, idleMs: 1}), [], 'https', 'acme.test'));
  });
});
