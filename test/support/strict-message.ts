/**
 * A reader of HTTP/1.1 messages that knows the grammar of RFC 9110 and RFC 9112 and forgives nothing. It shares no line with the source: what
 * it reads, no server can read in another way. Of framing it knows what Torwart writes: one length, or `chunked`, or neither.
 */

export interface StrictMessage {
  readonly startLine: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Content without its framing, as latin1. */
  readonly body: string;
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\/[!-~]*) HTTP\/1\.1$/;
const STATUS_LINE = /^HTTP\/1\.1 [1-5][0-9]{2} [\t -~\x80-\xff]*$/;
/** One space, and no blanks around the value. */
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)$/;
const LENGTH = /^(?:0|[1-9][0-9]*)$/;
const CHUNK_LINE = /^(?:0|[1-9a-f][0-9a-f]*)$/;
/** Fields that two servers would understand in two ways if they came twice. */
const ONLY_ONCE = new Set(['host', 'content-length', 'transfer-encoding', 'content-type', 'x-request-id', 'x-forwarded-for', 'x-real-ip', 'forwarded', 'connection', 'date']);

function refuse(why: string, text: string): never {
  throw new Error(`${why}: ${JSON.stringify(text.slice(0, 300))}`);
}

/** What a CGI environment folds: no name of a request, and none of a response that frames it for whoever folds. */
const FOLDING = /[._]/;
const FRAMING = new Set(['content-length', 'transfer-encoding', 'keep-alive', 'proxy-connection']);

interface Head extends Omit<StrictMessage, 'body'> {
  readonly end: number;
}

function readHead(text: string, startLinePattern: RegExp): Head {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) refuse('the head does not end', text);
  const [startLine = '', ...lines] = text.slice(0, end).split('\r\n');
  if (!startLinePattern.test(startLine)) refuse('the start line is malformed', startLine);
  const fields = lines.map((line) => {
    const [, name, value] = FIELD_LINE.exec(line) ?? refuse('a field line is malformed', line);
    return [(name ?? '').toLowerCase(), value ?? ''] as const;
  });
  const names = fields.map(([name]) => name);
  const isRequest = startLinePattern === REQUEST_LINE;
  for (const name of names) if (FOLDING.test(name) && (isRequest || FRAMING.has(name.replaceAll(/[._]/g, '-')))) refuse('a name that folds', name);
  for (const name of ONLY_ONCE) if (names.filter((other) => other === name).length > 1) refuse(`${name} twice`, text);
  return {startLine, fields, end: end + 4};
}

function readChunks(text: string, start: number): {readonly body: string; readonly end: number} {
  let body = '';
  for (let at = start; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    const line = text.slice(at, lineEnd);
    if (lineEnd < 0 || !CHUNK_LINE.test(line)) refuse('a chunk size is malformed', text.slice(at));
    const size = Number.parseInt(line, 16);
    const end = lineEnd + 2 + size;
    if (text.slice(end, end + 2) !== '\r\n') refuse('a chunk does not end where it should', text.slice(at));
    if (size === 0) return {body, end: end + 2};
    body += text.slice(lineEnd + 2, end);
    at = end + 2;
  }
}

/** @param untilClose the end of the connection may be the end of the body */
function readBody(text: string, {fields, end: start}: Head, untilClose: boolean): {readonly body: string; readonly end: number} {
  const valueOf = (name: string): string | undefined => fields.find(([known]) => known === name)?.[1];
  const length = valueOf('content-length');
  const encoding = valueOf('transfer-encoding');
  if (length !== undefined && encoding !== undefined) refuse('a length and an encoding', text);
  if (encoding !== undefined) return encoding === 'chunked' ? readChunks(text, start) : refuse('another encoding than chunked', encoding);
  if (length === undefined) return untilClose ? {body: text.slice(start), end: text.length} : {body: '', end: start};
  if (!LENGTH.test(length)) refuse('a length is malformed', length);
  const end = start + Number(length);
  if (text.length < end) refuse('the body is shorter than its length', text);
  return {body: text.slice(start, end), end};
}

/** All requests of a recorded stream. Throws where one of them can be read in two ways, or does not end. */
export function readStrictRequests(text: string): readonly StrictMessage[] {
  const messages: StrictMessage[] = [];
  for (let rest = text; rest !== '';) {
    const head = readHead(rest, REQUEST_LINE);
    if (head.fields.filter(([name]) => name === 'host').length !== 1) refuse('not one Host', rest);
    const {body, end} = readBody(rest, head, false);
    messages.push({startLine: head.startLine, fields: head.fields, body});
    rest = rest.slice(end);
  }
  return messages;
}

/** All responses of a recorded stream to requests with these methods, interim ones left out. Throws as above, and where there are more or fewer. */
export function readStrictResponses(text: string, methods: readonly string[], isClosed: boolean): readonly StrictMessage[] {
  const messages: StrictMessage[] = [];
  for (let rest = text; rest !== '';) {
    const head = readHead(rest, STATUS_LINE);
    const status = Number(head.startLine.slice(9, 12));
    const method = methods[messages.length] ?? refuse('a response that nobody asked for', rest);
    const isBodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
    const {body, end} = isBodiless ? {body: '', end: head.end} : readBody(rest, head, isClosed);
    if (status >= 200) messages.push({startLine: head.startLine, fields: head.fields, body});
    rest = rest.slice(end);
  }
  if (messages.length !== methods.length) refuse(`${messages.length} responses to ${methods.length} requests`, text);
  return messages;
}
