/** The stages of one request, each as a function over a fixed workload: what a browser sends and a small application answers. */
import {parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {flattenText} from '#src/core/text.ts';
import {BodyDecoder} from '#src/http1/body-decoder.ts';
import {framingLine, statusLine} from '#src/http1/encode.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {normaliseTarget} from '#src/http1/path.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {parseAuthority} from '#src/http1/request-target.ts';
import {ResponseHead} from '#src/http1/response-head.ts';
import {clientFragment, closingFragment, customerFragment, endpointFragment, formatAccessLine, requestFragment, timeFragment, userAgentFragment, type AccessRecord} from '#src/observe/access-line.ts';
import {forwardedLines, identifyClient, type ClientIdentity} from '#src/policy/client-identity.ts';
import {FleetScope} from '#src/policy/fleet-scope.ts';
import {HostTable} from '#src/policy/host-table.ts';
import {PathTable} from '#src/policy/path-table.ts';
import {hardenRequestFields, planRequestFields} from '#src/policy/request-hardening.ts';
import {compileLimits, takeLimits} from '#src/policy/request-limits.ts';
import {hardenResponseFields, planResponseFields} from '#src/policy/response-hardening.ts';
import {EndpointSlot, endpointSlotByteLength} from '#src/shared/endpoint-slot.ts';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import {RateTables} from '#src/shared/rate-tables.ts';
import {createPicker} from '#src/balance/picker.ts';

export interface Stage {
  readonly name: string;
  /** Operations of one measured run. */
  readonly operations: number;
  /** Does the work `operations` times. The result depends on all of it, so that no compiler leaves it out. */
  readonly run: (operations: number) => number;
}

const HOST = 'h5000.bench.example';
const NO_CHANGES = {set: [], remove: []} as const;

const REQUEST = Buffer.from([
  'GET /shop/articles/4711?sort=price&page=2 HTTP/1.1', `Host: ${HOST}`,
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br, zstd', 'Referer: https://h5000.bench.example/shop/', 'Connection: keep-alive',
  'Cookie: session=4d6f2a8e9b1c; theme=dark', 'Sec-Fetch-Dest: document', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Site: same-origin', '', '',
].join('\r\n'), 'latin1');

const RESPONSE = Buffer.from([
  'HTTP/1.1 200 OK', 'Server: application/1.0', 'Date: Mon, 01 Jun 2026 12:00:00 GMT', 'Content-Type: application/json; charset=utf-8',
  'Content-Length: 126', 'Cache-Control: no-store', 'X-Powered-By: something', 'Vary: accept-encoding', 'Connection: keep-alive', '', '',
].join('\r\n'), 'latin1');

function makeClient(hash: KeyedHash): ClientIdentity {
  const ip = parseIp('192.0.2.7');
  if (ip === null) throw new Error('a literal address is valid');
  return identifyClient(ip, 'https', hash);
}

function parsedRequest(): RequestHead {
  const head = new RequestHead();
  head.parse(REQUEST, 0, REQUEST.length);
  return head;
}

function parseRequestStage(): Stage {
  const head = new RequestHead();
  return {
    name: `parse a request head (${REQUEST.length} bytes)`, operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += head.parse(REQUEST, 0, REQUEST.length);
      return sum;
    },
  };
}

function parseResponseStage(): Stage {
  const head = new ResponseHead();
  return {
    name: `parse a response head (${RESPONSE.length} bytes)`, operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += head.parse(RESPONSE, 0, RESPONSE.length, 'GET');
      return sum;
    },
  };
}

/** Asked for in turn: too many for the caches of the CPU to hold all that belongs to them. */
const ASKED_HOSTS = 4_096;

function routeStage(hostCount: number): Stage {
  const paths = new PathTable<number>([
    {path: '/', match: 'prefix', methods: [], value: 1}, {path: '/shop/', match: 'prefix', methods: [], value: 2},
    {path: '/admin/', match: 'prefix', methods: ['GET'], value: 3},
  ]);
  const hosts = new HostTable<PathTable<number>>(), {target} = parsedRequest();
  for (let i = 0; i < hostCount; i++) hosts.set({pattern: `h${i}.bench.example`, value: paths});
  const names = Array.from({length: ASKED_HOSTS}, (_, i) => `H${(i * 7_919) % hostCount}.bench.example`);
  const findRoute = (name: string): number => {
    const normal = normaliseTarget(target, true) ?? '';
    const match = hosts.find(parseAuthority(name)?.host ?? '')?.find(normal.slice(0, normal.indexOf('?')), 'GET');
    return match?.found === true ? match.value : 0;
  };
  return {
    name: `route: host of ${hostCount.toLocaleString('en')}, path of 3`, operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += findRoute(names[i & (ASKED_HOSTS - 1)] ?? '');
      return sum;
    },
  };
}

function limitStage(name: string, key: 'client' | 'header', keyName: string): Stage {
  const hash = new KeyedHash(Buffer.alloc(32, 7)), client = makeClient(hash);
  const snapshot = {name: 'limit', key, keyName, intervalMs: 1e-3, burst: 1_000_000, isEnforced: true, isFleetWide: false, isAnnounced: false} as const;
  const limits = compileLimits('', '', [snapshot], {tables: new RateTables(RateTables.createBuffers(65_536)), hash, fleet: new FleetScope(new FleetLedger(new SharedArrayBuffer(FleetLedger.byteLength(8))), null)}).onArrival;
  const {fields} = parsedRequest(), request = {client, host: HOST, site: null, route: null, limit: '', retryAfterMs: 0, rateLimitLines: ''};
  const observe = (): void => undefined;
  let nowMs = 0;
  return {
    name, operations: 200_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += Number(takeLimits(limits, request, fields, nowMs += 0.01, observe));
      return sum;
    },
  };
}

function pickStage(): Stage {
  const endpoints = [1, 2].map(number => {
    const slot = {buffer: new SharedArrayBuffer(endpointSlotByteLength(1)), byteOffset: 0};
    return {address: `10.0.0.${number}`, port: 80, weight: 1, backup: false, drain: false, slot: new EndpointSlot(slot, 1, 0)};
  });
  const picker = createPicker('least_requests', endpoints, false);
  return {
    name: 'pick one of two endpoints', operations: 200_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += picker.pick(i, i, 0.5, -1);
      return sum;
    },
  };
}

/** @param harden the client's fields as lines, made anew each time or once: what hardening costs is the difference, for it leaves pieces that encoding joins */
function encodeRequestStage(name: string, harden: (head: RequestHead) => () => string): Stage {
  const head = parsedRequest(), makeFields = harden(head);
  const lines = flattenText(forwardedLines(makeClient(new KeyedHash(Buffer.alloc(32, 7))), head.host));
  return {
    name, operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) {
        const text = `${head.method} ${head.target} HTTP/1.1\r\n${lines}${makeFields()}x-request-id: 0123456789abcdef\r\n\r\n`;
        sum += Buffer.from(text, 'latin1').length;
      }
      return sum;
    },
  };
}

function encodeResponseStage(name: string, harden: (head: ResponseHead) => () => string): Stage {
  const head = new ResponseHead();
  head.parse(RESPONSE, 0, RESPONSE.length, 'GET');
  const makeFields = harden(head);
  return {
    name, operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) {
        const text = `${statusLine(head.status, head.reason)}${makeFields()}${framingLine(head.bodyLength)}\r\n`;
        sum += Buffer.from(text, 'latin1').length;
      }
      return sum;
    },
  };
}

function headStages(): {request: readonly Stage[]; response: readonly Stage[]} {
  const requestPlan = planRequestFields(NO_CHANGES), responsePlan = planResponseFields(NO_CHANGES);
  const hardenRequest = ({fields}: RequestHead) => (): string => hardenRequestFields(fields, requestPlan);
  const hardenResponse = (head: ResponseHead) => (): string => hardenResponseFields(head, responsePlan, true);
  const once = <T>(harden: (head: T) => () => string) => (head: T): (() => string) => {
    const fields = flattenText(harden(head)());
    return () => fields;
  };
  return {
    request: [encodeRequestStage('harden and encode a request head', hardenRequest), encodeRequestStage('encode a request head that was hardened before', once(hardenRequest))],
    response: [encodeResponseStage('harden and encode a response head', hardenResponse), encodeResponseStage('encode a response head that was hardened before', once(hardenResponse))],
  };
}

function decodeChunksStage(): Stage {
  const piece = `1000\r\n${'x'.repeat(4096)}\r\n`, body = Buffer.from(`${piece.repeat(16)}0\r\n\r\n`, 'latin1');
  const decoder = new BodyDecoder();
  const sink = {bytes: 0, onBody(_bytes: Buffer, start: number, end: number): void { this.bytes += end - start; }};
  return {
    name: 'decode a chunked body (16 chunks of 4 KiB)', operations: 50_000,
    run: operations => {
      for (let i = 0; i < operations; i++) {
        decoder.begin(BODY_CHUNKED);
        decoder.decode(body, 0, body.length, sink);
      }
      return sink.bytes;
    },
  };
}

function logStage(): Stage {
  const {target, userAgent, referer} = parsedRequest();
  const record: AccessRecord = {
    timeFragment: timeFragment('2026-06-01T12:00:00.000Z'), endpointFragment: endpointFragment('10.0.0.1:3000'), requestId: '0123456789abcdef',
    originFragment: flattenText(customerFragment('acme', 'shop') + clientFragment('192.0.2.7', 'TLSv1.3', 'TLS_AES_128_GCM_SHA256')),
    requestFragment: flattenText(requestFragment(HOST, 'GET', 'HTTP/1.1')), target, status: 200, fault: null, bytesReceived: 512, bytesSent: 700, queueMs: 0.01, connectMs: 0,
    firstByteMs: 1.234, totalMs: 1.345, accessFragment: '', closingFragment: closingFragment(userAgentFragment(userAgent), referer),
  };
  return {
    name: 'format an access log line', operations: 100_000,
    run: operations => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += formatAccessLine(record).length;
      return sum;
    },
  };
}

export function createStages(): readonly Stage[] {
  const {request, response} = headStages();
  return [
    parseRequestStage(), limitStage('take a token of one limit', 'client', ''), limitStage('take a token of a limit by header', 'header', 'sec-fetch-site'), routeStage(10_000), routeStage(100_000), ...request, pickStage(), parseResponseStage(), ...response,
    decodeChunksStage(), logStage(),
  ];
}
