/** Attacks on connections, with frames by hand over TLS. Their bounds are tried in test/http2/attacks.test.ts; here is what they cost the others. */
import assert from 'node:assert/strict';
import {describe, test, type TestContext} from 'node:test';
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {GLITCH_LIMITS, LIMITS} from '#src/core/limits.ts';
import {ERROR, FLAG, FRAME, PREFACE} from '#src/http2/frames.ts';
import type {Glitch} from '#src/http2/glitches.ts';
import {data, frame, indexedLiterals, literals, opening, ping, priorityUpdate, request, reset, settings, upload, windowUpdate} from '#test/http2/frames.ts';
import {startStage, type Stage} from '#test/http2-edge/stage.ts';
import {eventually} from '#test/support/eventually.ts';
import {attackHttp2, type Http2Attack} from '#test/support/http2-attack.ts';
import {GET, HOST, POST, Http2Client} from '#test/support/http2-client.ts';
import {route, site} from '#test/support/snapshots.ts';

interface Violation {
  readonly name: string;
  readonly bytes: readonly Buffer[];
  readonly fault: FaultCode;
  readonly code: number;
  readonly count?: number;
  readonly besides?: Http2Attack['besides'];
  readonly requestsMax?: number;
}

async function assertEnded(client: Http2Client, code: number): Promise<void> {
  assert.equal(await client.ended(), code, 'the last GOAWAY');
  assert.equal(client.tls.end, 'orderly', 'it could be read');
}

function attackBy({name, bytes, code, ...expected}: Violation): void {
  test(name, async (context) => {
    await attackHttp2(context, await startStage(context), {...expected, act: async (client) => {
      client.send(...bytes);
      await assertEnded(client, code);
    }});
  });
}

const idOf = (i: number): number => 2 * i + 1;

const GOAWAY = frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8));
const MALFORMED = request(1, [...GET, ['X', 'y']]);
const LARGE_ENTRY = ['a', 'x'.repeat(4000)] as const;
const BOMB = Buffer.concat([literals(GET), indexedLiterals([LARGE_ENTRY]), Buffer.alloc(16, 0xbe)]);
const LAST_HEADERS = FLAG.END_HEADERS | FLAG.END_STREAM;

describe('frames that end the connection', () => {
  const CALM = ERROR.ENHANCE_YOUR_CALM;
  const VIOLATIONS: readonly Violation[] = [
    {name: 'HTTP/1.1 on a connection of HTTP/2', bytes: [Buffer.from('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n')], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'a request before the settings', bytes: [PREFACE, request(1, GET)], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'content of a stream that does not exist', bytes: [opening(), data(1, 'x')], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'a stream with an even number', bytes: [opening(), request(2, GET)], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'a push of the client\'s', bytes: [opening(), frame(FRAME.PUSH_PROMISE, 0, 1, Buffer.alloc(8))], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'a frame that is too large', bytes: [opening(), frame(FRAME.HEADERS, LAST_HEADERS, 1, Buffer.alloc(LIMITS.h2FrameBytesMax + 1))], fault: 'h2_protocol', code: ERROR.FRAME_SIZE_ERROR},
    {name: 'another frame within a block of fields', bytes: [opening(), frame(FRAME.HEADERS, 0, 1, literals(GET)), ping()], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'an index of zero', bytes: [opening(), frame(FRAME.HEADERS, LAST_HEADERS, 1, Buffer.of(0x80))], fault: 'h2_compression', code: ERROR.COMPRESSION_ERROR},
    {name: 'a Huffman code that is not ended', bytes: [opening(), frame(FRAME.HEADERS, LAST_HEADERS, 1, Buffer.of(0, 0x81, 0xff, 0))], fault: 'h2_compression', code: ERROR.COMPRESSION_ERROR},
    {name: 'a window that is too large', bytes: [opening(), windowUpdate(0, 0x7fff_ffff)], fault: 'h2_flow_control', code: ERROR.FLOW_CONTROL_ERROR},
    {name: 'an increment of zero for the connection', bytes: [opening(), windowUpdate(0, 0)], fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR},
    {name: 'CONTINUATION without end, of few bytes (CVE-2024-27316)', fault: 'h2_continuation_flood', code: CALM,
      bytes: [opening(), frame(FRAME.HEADERS, FLAG.END_STREAM, 1, literals(GET)), ...Array.from({length: 1000}, () => frame(FRAME.CONTINUATION, 0, 1))]},
    {name: 'CONTINUATION without end, of many bytes', fault: 'h2_continuation_flood', code: CALM,
      bytes: [opening(), frame(FRAME.HEADERS, FLAG.END_STREAM, 1, literals(GET)), ...Array.from({length: 4}, () => frame(FRAME.CONTINUATION, 0, 1, Buffer.alloc(16_384, 0x82)))]},
    {name: 'an HPACK bomb (CVE-2016-6581)', bytes: [opening(), frame(FRAME.HEADERS, LAST_HEADERS, 1, BOMB)], fault: 'h2_header_bomb', code: CALM},
    {name: 'an HPACK bomb behind a request that is refused', bytes: [opening(), MALFORMED, frame(FRAME.HEADERS, LAST_HEADERS, 1, BOMB)],
      fault: 'h2_header_bomb', code: CALM, besides: {h2_request_malformed: 1}},
    {name: 'crumbs of cookies without end', fault: 'h2_header_bomb', code: CALM,
      bytes: [opening(), frame(FRAME.HEADERS, LAST_HEADERS, 1, Buffer.concat([literals(GET), indexedLiterals([['cookie', '']]), Buffer.alloc(2000, 0xbe)]))]},
    {name: 'many settings in one frame', bytes: [opening(), frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(6 * (LIMITS.h2SettingsPerFrameMax + 1)))], fault: 'h2_settings_flood', code: CALM},
    {name: 'it takes its requests with it, and they are counted too', bytes: [opening(), upload(1, POST), upload(3, POST), data(5, 'x')],
      fault: 'h2_protocol', code: ERROR.PROTOCOL_ERROR, count: 3},
  ];
  for (const violation of VIOLATIONS) attackBy(violation);
});

describe('floods', () => {
  interface Flood {
    readonly name: string;
    readonly fault: FaultCode;
    readonly glitch: Glitch;
    readonly first?: Buffer;
    readonly frame: (i: number) => Buffer;
    readonly count?: number;
    readonly besides?: Http2Attack['besides'];
  }
  const {reset: resets, provoked} = GLITCH_LIMITS;
  const FLOODS: readonly Flood[] = [
    {name: 'rapid reset (CVE-2023-44487)', fault: 'h2_rapid_reset', glitch: 'reset', frame: (i) => Buffer.concat([request(idOf(i), GET), reset(idOf(i))]), besides: {client_gone: resets.burst + 1}},
    {name: 'rapid reset of uploads', fault: 'h2_rapid_reset', glitch: 'reset', frame: (i) => Buffer.concat([upload(idOf(i), POST), data(idOf(i), 'x'), reset(idOf(i))]), besides: {client_gone: resets.burst + 1}},
    {name: 'MadeYouReset by increments of zero (CVE-2025-8671)', fault: 'h2_provoked_resets', glitch: 'provoked', frame: (i) => Buffer.concat([request(idOf(i), GET), windowUpdate(idOf(i), 0)]), besides: {h2_protocol: provoked.burst + 1}},
    {name: 'MadeYouReset by windows that are too large', fault: 'h2_provoked_resets', glitch: 'provoked', frame: (i) => Buffer.concat([request(idOf(i), GET), windowUpdate(idOf(i), 0x7fff_ffff)]), besides: {h2_flow_control: provoked.burst + 1}},
    {name: 'MadeYouReset by content after the end', fault: 'h2_provoked_resets', glitch: 'provoked', frame: (i) => Buffer.concat([request(idOf(i), GET), data(idOf(i), 'x')]), besides: {h2_protocol: provoked.burst + 1}},
    {name: 'MadeYouReset by more content than was announced', fault: 'h2_provoked_resets', glitch: 'provoked', frame: (i) => Buffer.concat([upload(idOf(i), [...POST, ['content-length', '1']]), data(idOf(i), 'xy')]), besides: {framing_invalid: provoked.burst + 1}},
    {name: 'malformed requests', fault: 'h2_provoked_resets', glitch: 'provoked', frame: (i) => request(idOf(i), [...GET, ['X', 'y']]), besides: {h2_request_malformed: provoked.burst + 1}},
    {name: 'SETTINGS (CVE-2019-9515)', fault: 'h2_settings_flood', glitch: 'settings', frame: () => settings()},
    {name: 'PING (CVE-2019-9512)', fault: 'h2_ping_flood', glitch: 'ping', frame: () => ping()},
    {name: 'DATA without content (CVE-2019-9518)', fault: 'h2_empty_frames', glitch: 'empty', first: upload(1, POST), frame: () => data(1, ''), count: 2},
    {name: 'PRIORITY (CVE-2019-9513)', fault: 'h2_priority_flood', glitch: 'priority', frame: (i) => frame(FRAME.PRIORITY, 0, idOf(i), Buffer.alloc(5))},
    {name: 'PRIORITY_UPDATE', fault: 'h2_priority_flood', glitch: 'priority', frame: (i) => priorityUpdate(idOf(i), 'u=1')},
    {name: 'windows in drops (CVE-2019-9511)', fault: 'h2_window_flood', glitch: 'window', frame: () => windowUpdate(0, 1)},
    {name: 'unknown frames', fault: 'h2_unknown_frames', glitch: 'unknown', frame: () => frame(0x63, 0, 0)},
    {name: 'content of a stream that was refused', fault: 'h2_stray_frames', glitch: 'stray', first: upload(1, [...POST, ['X', 'y']]), frame: () => data(1, 'x'), besides: {h2_request_malformed: 1}},
    {name: 'farewells without end', fault: 'h2_stray_frames', glitch: 'stray', first: Buffer.concat([upload(1, POST), GOAWAY]), frame: () => GOAWAY, count: 2},
  ];
  for (const {name, glitch, first = Buffer.alloc(0), frame: frameOf, ...expected} of FLOODS) {
    const count = GLITCH_LIMITS[glitch].burst + 1;
    attackBy({name, code: ERROR.ENHANCE_YOUR_CALM, bytes: [opening(), first, ...Array.from({length: count}, (_, i) => frameOf(i))], ...expected});
  }
});

describe('more content than the windows let in', () => {
  /** Its requests wait for the word of an application that says none: nobody reads their content meanwhile. */
  async function startWaitingStage(context: TestContext): Promise<Stage> {
    const stage = await startStage(context);
    const auth = [{type: 'forward', name: 'silent', pool: 'app', path: '/silent', timeoutMs: 60_000, sentFields: [], identityFields: []}] as const;
    const sites = [site([HOST], [route('/'), route('/guarded', {auth: 'silent'})])];
    await stage.proxy.reload({customers: stage.proxy.customers.map((customer) => ({...customer, revision: '2', auth, sites}))});
    return stage;
  }

  const GUARDED = [...POST.slice(0, 3), [':path', '/guarded']] as const;
  const FULL = Buffer.alloc(LIMITS.h2FrameBytesMax);
  const uploadOf = (streamId: number, bytes: number): Buffer[] => [upload(streamId, GUARDED), ...Array.from({length: bytes / FULL.length}, () => data(streamId, FULL))];
  const {h2StreamWindowBytes: perStream, h2ConnectionWindowBytes: perConnection} = LIMITS;
  const halves = perConnection / (perStream / 2);
  const WINDOWS: readonly (readonly [of: string, uploads: readonly Buffer[], last: readonly Buffer[], streams: number])[] = [
    ['a stream', uploadOf(1, perStream), [data(1, 'x')], 1],
    ['the connection', Array.from({length: halves}, (_, i) => uploadOf(idOf(i), perStream / 2)).flat(), [...uploadOf(idOf(halves), 0), data(idOf(halves), 'x')], halves + 1],
  ];
  for (const [of, uploads, last, streams] of WINDOWS) {
    test(`h2_flow_control: a byte more than the window of ${of}`, async (context) => {
      const stage = await startWaitingStage(context);
      const {upstream} = stage;
      // The connection, and each of the requests that it takes with it.
      await attackHttp2(context, stage, {fault: 'h2_flow_control', count: streams + 1, requestsMax: streams, act: async (client) => {
        const before = upstream.requests.length;
        upstream.respond = () => null;
        client.send(opening(), ...uploads, ping());
        await eventually('all of them are read', () => client.frames.some(({type, flags}) => type === FRAME.PING && flags === FLAG.ACK));
        assert.deepEqual([client.goAways, client.isEnded], [[], false], 'what the windows let in is borne');
        client.send(...last);
        await assertEnded(client, ERROR.FLOW_CONTROL_ERROR);
        assert.deepEqual(upstream.requests.slice(before).filter(({startLine}) => !startLine.includes('/silent')), [], 'none is passed on');
      }});
    });
  }
});

describe('requests that cost their stream only', () => {
  const PSEUDO = [':method', ':scheme', ':authority', ':path'] as const;
  const without = (name: string): (readonly [string, string])[] => GET.filter(([known]) => known !== name);
  const replace = (name: string, value: string): (readonly [string, string])[] => GET.map((field) => (field[0] === name ? [name, value] : field));
  const MALFORMED_REQUESTS: readonly (readonly [what: string, fields: readonly (readonly [string, string])[]])[] = [
    ['a second request in the path', replace(':path', '/ HTTP/1.1\r\nhost: evil.test\r\n\r\nGET /evil')],
    ['a blank in the path', replace(':path', '/a b')],
    ['an absolute target', replace(':path', 'https://acme.test/')],
    ['no leading slash', replace(':path', 'admin')],
    ['an empty path', replace(':path', '')],
    ['a line end in the method', replace(':method', 'GET / HTTP/1.1\r\nx: ')],
    ['a blank in the method', replace(':method', 'GET /evil')],
    ['a line end in the authority', replace(':authority', 'acme.test\r\nx-evil: 1')],
    ['a line end in a value', [...GET, ['x-a', 'b\r\ntransfer-encoding: chunked']]],
    ['a bare line feed in a value', [...GET, ['x-a', 'b\nx-evil: 1']]],
    ['a NUL in a value', [...GET, ['x-a', 'b\0']]],
    ['a blank before a value', [...GET, ['x-a', ' b']]],
    ['a colon in a name', [...GET, ['x-a: b', 'c']]],
    ['a line end in a name', [...GET, ['x-a\r\nx-evil', '1']]],
    ['an upper-case name', [...GET, ['X-a', 'b']]],
    ['an empty name', [...GET, ['', 'b']]],
    ['transfer-encoding', [...POST, ['transfer-encoding', 'chunked']]],
    ['connection', [...GET, ['connection', 'close']]],
    ['upgrade', [...GET, ['upgrade', 'websocket']]],
    ['te', [...GET, ['te', 'gzip']]],
    ['two content-lengths', [...POST, ['content-length', '0'], ['content-length', '5']]],
    ['a content-length with a sign', [...POST, ['content-length', '+5']]],
    ['content that was announced and cannot come', [...POST, ['content-length', '5']]],
    ['another host than the authority', [...GET, ['host', 'other.test']]],
    ['an authority that is spelled otherwise than the host', [...GET, ['host', 'ACME.test']]],
    ['a pseudo-header field after another field', [...without(':path'), ['x-a', 'b'], [':path', '/']]],
    ['an unknown pseudo-header field', [[':evil', '1'], ...GET]],
    ['a pseudo-header field of responses', [[':status', '200'], ...GET]],
    ...PSEUDO.map((name) => [`no ${name}`, without(name)] as const),
    ...PSEUDO.map((name) => [`${name} twice`, [...GET.filter(([known]) => known === name), ...GET]] as const),
  ];
  for (const [what, fields] of MALFORMED_REQUESTS) {
    test(`h2_request_malformed: ${what}`, async (context) => {
      await attackHttp2(context, await startStage(context), {fault: 'h2_request_malformed', requestsMax: 1, act: async (client) => {
        client.send(opening());
        const {status, reset: code} = await client.ask(1, fields);
        assert.deepEqual([status, code], [0, ERROR.PROTOCOL_ERROR]);
        assert.equal((await client.ask(3)).status, 200, 'the connection goes on');
      }});
    });
  }

  const CONTENT: readonly (readonly [what: string, frames: readonly Buffer[], fault: FaultCode])[] = [
    ['more content than was announced', [upload(1, [...POST, ['content-length', '4']]), data(1, '12345', FLAG.END_STREAM)], 'framing_invalid'],
    ['less content than was announced', [upload(1, [...POST, ['content-length', '6']]), data(1, '12345', FLAG.END_STREAM)], 'framing_invalid'],
    ['a pseudo-header field in the trailers', [upload(1, POST), data(1, '12345'), frame(FRAME.HEADERS, LAST_HEADERS, 1, literals([[':path', '/evil']]))], 'h2_request_malformed'],
    ['content-length in the trailers', [upload(1, POST), data(1, '12345'), frame(FRAME.HEADERS, LAST_HEADERS, 1, literals([['content-length', '9']]))], 'h2_request_malformed'],
    ['content after the end', [request(1, [[':method', 'POST'], ...GET.slice(1)]), data(1, 'GET /evil HTTP/1.1\r\n\r\n')], 'h2_protocol'],
  ];
  for (const [what, frames, fault] of CONTENT) {
    test(`${fault}: ${what}`, async (context) => {
      await attackHttp2(context, await startStage(context), {fault, requestsMax: 1, act: async (client) => {
        client.send(opening(), ...frames);
        assert.notEqual((await client.response(1)).reset, null);
        assert.equal((await client.ask(3)).status, 200, 'the connection goes on');
      }});
    });
  }

  test('a request that can be answered is: the same statuses as over HTTP/1.1', async (context) => {
    const {proxy, upstream} = await startStage(context);
    const client = await Http2Client.open(context, proxy);
    const rows: readonly (readonly [FaultCode, readonly (readonly [string, string])[]])[] = [
      ['fields_too_many', [...GET, ...Array.from({length: LIMITS.requestFieldsMax}, () => ['a', '1'] as const)]],
      ['target_too_long', replace(':path', `/${'a'.repeat(LIMITS.requestTargetBytesMax)}`)],
      ['target_invalid', replace(':scheme', 'http')],
      ['method_invalid', replace(':method', 'M'.repeat(LIMITS.methodBytesMax + 1))],
      ['method_refused', replace(':method', 'TRACE')],
      ['method_refused', [[':method', 'CONNECT'], [':authority', 'acme.test:443']]],
      ['path_ambiguous', replace(':path', '/../etc')],
      ['host_invalid', replace(':authority', 'user@acme.test')],
      ['host_unknown', replace(':authority', 'unknown.test')],
      ['expectation_failed', [...GET, ['expect', 'evil']]],
    ];
    for (const [i, [fault, fields]] of rows.entries()) {
      const before = proxy.fault(fault);
      const response = await client.ask(idOf(i), fields);
      assert.equal(response.status, FAULTS[fault].status, fault);
      assert.equal(response.isComplete, true);
      assert.equal(proxy.fault(fault), before + 1, fault);
    }
    client.send(frame(FRAME.HEADERS, LAST_HEADERS, 999, Buffer.concat([literals(GET), indexedLiterals([LARGE_ENTRY]), Buffer.alloc(4, 0xbe)])));
    assert.equal((await client.response(999)).status, FAULTS.head_too_large.status);
    assert.equal(proxy.fault('head_too_large'), 1);
    assert.equal(upstream.requests.length, 0);
    assert.equal((await client.ask(1001)).status, 200, 'the connection goes on after all of them');
  });
});

test('h2_streams_exceeded: one request too many is refused, and the others are answered', async (context) => {
  const {proxy, upstream} = await startStage(context);
  await attackHttp2(context, {proxy, upstream}, {fault: 'h2_streams_exceeded', requestsMax: LIMITS.h2StreamsMax + 1, act: async (client) => {
    const first = upstream.requests.length;
    upstream.respond = () => null;
    client.send(opening(), ...Array.from({length: LIMITS.h2StreamsMax + 1}, (_, i) => request(idOf(i), GET)));
    assert.equal((await client.response(idOf(LIMITS.h2StreamsMax))).reset, ERROR.REFUSED_STREAM);
    await eventually('the others reach the upstream', () => upstream.requests.length === first + LIMITS.h2StreamsMax);
    upstream.respond = () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
    for (const {peer} of upstream.requests.slice(first)) peer.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello');
    for (let i = 0; i < LIMITS.h2StreamsMax; i++) assert.equal((await client.response(idOf(i))).body, 'hello');
    assert.equal((await client.ask(1001)).body, 'ok', 'there is room again');
  }});
});
