/**
 * Two parsers, one message: whatever the codec accepts, Node's own HTTP server either refuses or reads in the same way. First the bytes of
 * the client (else the codec itself is the victim of smuggling), then what Torwart makes of them for the upstream.
 */
import assert from 'node:assert/strict';
import {randomInt} from 'node:crypto';
import {once} from 'node:events';
import http from 'node:http';
import net, {type AddressInfo} from 'node:net';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {BodyDecoder} from '#src/http1/body-decoder.ts';
import {lastChunk, CHUNK_END, chunkSizeLine, framingLine} from '#src/http1/encode.ts';
import {copyFields} from '#src/http1/field-block.ts';
import {FIELD, FIELD_NUMBERS, FOLDING_KNOWN, FOLDING_NAME, JOINED_COOKIE, NAMED_BY_CONNECTION} from '#src/http1/field-names.ts';
import {BODY_CHUNKED} from '#src/http1/framing.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {REQUESTS, mutate} from '#test/http1/messages.ts';

interface Message {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly content: string;
}

interface Reading {
  readonly messages: readonly Message[];
  /** What Torwart would send to an upstream: its own framing, the fields copied. */
  readonly encoded: string;
}

/** Ends every conversation, so that both parsers must agree about where the last message ended. */
const LAST_REQUEST = 'GET /last HTTP/1.1\r\nhost: last\r\nconnection: close\r\n\r\n';
const RUNS = 300;

/** Everything in `bytes` as the codec reads it, null where it refuses or waits for more. */
function readAll(bytes: Buffer): Reading | null {
  const head = new RequestHead();
  const body = new BodyDecoder();
  const messages: Message[] = [];
  const encoded: string[] = [];
  let at = 0;
  do {
    at = head.parse(bytes, at, bytes.length);
    if (at < 0) return null;
    const parts: string[] = [];
    body.begin(head.bodyLength);
    at = body.decode(bytes, at, bytes.length, {onBody: (span, start, end) => parts.push(span.toString('latin1', start, end))});
    if (!body.isComplete) return null;
    messages.push({method: head.method, target: head.target, fields: fieldsOf(head), content: parts.join('')});
    encoded.push(encode(head, parts));
  } while (head.isPersistent);
  return {messages, encoded: encoded.join('')};
}

/** Names and values in turn, as Node's `rawHeaders` has them. */
function fieldsOf({fields}: RequestHead): string[] {
  return Array.from({length: fields.count}, (_, i) => (fields.numbers[i] === JOINED_COOKIE ? [] : [fields.name(i), fields.value(i)])).flat();
}

/** Several lines of cookies are one to the codec. */
function joinCookies(message: Message): Message {
  const {fields} = message;
  const isCookie = (i: number): boolean => fields[i - (i % 2)]?.toLowerCase() === 'cookie';
  const values = fields.filter((text, i) => i % 2 === 1 && isCookie(i) && text !== '');
  const first = fields.findIndex((_, i) => isCookie(i));
  return {...message, fields: fields.flatMap((text, i) => (!isCookie(i) || i === first ? [text] : i === first + 1 ? [values.join('; ')] : []))};
}

const DROPPED = new Uint8Array(FIELD_NUMBERS);
for (const number of [FIELD['content-length'], FIELD['transfer-encoding'], FIELD.connection, FOLDING_NAME, FOLDING_KNOWN, JOINED_COOKIE, NAMED_BY_CONNECTION]) DROPPED[number] = 1;

function encode(head: RequestHead, parts: readonly string[]): string {
  const body = head.bodyLength === BODY_CHUNKED
    ? parts.map((part) => chunkSizeLine(part.length) + part + CHUNK_END).join('') + lastChunk('')
    : parts.join('');
  return `${head.method} ${head.target} HTTP/1.1\r\n${copyFields(head.fields, DROPPED, null)}${framingLine(head.bodyLength)}\r\n${body}`;
}

/** Without framing, which is Torwart's own, and, of what the client sent, without what ends at Torwart. */
function forwardedFields({fields}: Message): string[] {
  const isValueOf = (i: number, name: string): boolean => i % 2 === 1 && fields[i - 1]?.toLowerCase() === name;
  const named = new Set(fields.flatMap((text, i) => (isValueOf(i, 'connection') ? text.toLowerCase().split(/[ ,\t]+/) : [])));
  const isKept = (name: string): boolean => !/^(?:content-length|transfer-encoding|connection)$|[._]/i.test(name) && !named.has(name.toLowerCase());
  return fields.filter((_, i) => isKept(fields[i - (i % 2)] ?? ''));
}

const arrived: Message[] = [];
const server = http.createServer({maxHeaderSize: 65_536, insecureHTTPParser: false, requireHostHeader: false}, (request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const {method = '', url = '', rawHeaders} = request;
    arrived.push({method, target: url, fields: rawHeaders, content: Buffer.concat(parts).toString('latin1')});
    response.end();
  });
});

/** What Node's server reads before it closes the connection, and whether it refused anything. */
async function readByNode(bytes: Buffer): Promise<{messages: Message[]; hasRefused: boolean}> {
  arrived.length = 0;
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  let answer = '';
  socket.on('data', (part: Buffer) => {
    answer += part.toString('latin1');
  });
  socket.setTimeout(10_000, () => socket.destroy(new Error('Node waits for more of what the codec takes for complete')));
  socket.write(bytes);
  await once(socket, 'close');
  return {messages: arrived.splice(0), hasRefused: /HTTP\/1\.1 4\d\d /.test(answer)};
}

/**
 * The codec is as strict: what it accepts, Node reads alike or refuses. Node may read on where a message says both `close` and
 * `keep-alive`; the codec has ended there.
 */
async function checkAccepted(bytes: Buffer, {messages}: Reading): Promise<void> {
  const node = await readByNode(bytes);
  assert.deepEqual(node.messages.slice(0, messages.length).map(joinCookies), node.hasRefused ? messages.slice(0, node.messages.length) : messages);
}

/** What is sent to an upstream has one reading: Node must accept it, and find the same in it. */
async function checkEncoded({messages, encoded}: Reading): Promise<void> {
  // Node knows a list of methods. Other targets than paths never leave Torwart.
  if (messages.some(({method, target}) => !http.METHODS.includes(method) || method === 'CONNECT' || !target.startsWith('/'))) return;
  const node = await readByNode(Buffer.from(encoded + LAST_REQUEST, 'latin1'));
  assert.equal(node.hasRefused, false, encoded);
  const comparable = (message: Message): Message => ({...message, fields: forwardedFields(message)});
  assert.deepEqual(node.messages.slice(0, -1).map(comparable), messages.map(comparable));
}

test('Node reads what the codec accepts, and what it makes of it, in the same way', async (context) => {
  server.listen(0, '127.0.0.1');
  context.after(() => server.close());
  await once(server, 'listening');
  const seed = Number(process.env['TORWART_SEED'] ?? randomInt(2 ** 31));
  context.diagnostic(`seed ${seed}`);
  let accepted = 0;
  await fc.assert(fc.asyncProperty(mutate(REQUESTS), async (message) => {
    const bytes = Buffer.concat([message, Buffer.from(LAST_REQUEST)]);
    const reading = readAll(bytes);
    if (reading === null) return;
    accepted++;
    await checkAccepted(bytes, reading);
    await checkEncoded(reading);
  }), {seed, numRuns: RUNS});
  assert.ok(accepted > RUNS / 20, `${accepted} of ${RUNS} messages were accepted: too few to prove anything`);
});
