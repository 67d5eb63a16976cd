/** Reads messages off a recorded stream of bytes. Made for tests: it trusts the sender, and keeps what it read as it was. */

export interface RawMessage {
  /** The request line or the status line. */
  readonly startLine: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Content without its framing, as latin1. */
  readonly body: string;
  /** Everything, as latin1. */
  readonly raw: string;
}

export function fieldOf(message: Pick<RawMessage, 'fields'>, name: string): string | undefined {
  return message.fields.find(([known]) => known === name)?.[1];
}

export function fieldsOf(message: Pick<RawMessage, 'fields'>, name: string): readonly string[] {
  return message.fields.filter(([known]) => known === name).map(([, value]) => value);
}

export function statusOf(message: Pick<RawMessage, 'startLine'>): number {
  return Number(message.startLine.split(' ')[1]);
}

interface Content {
  readonly body: string;
  readonly end: number;
}

/** The chunked body at `start`; null while it is not complete. */
function readChunked(text: string, start: number): Content | null {
  let body = '';
  for (let at = start; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const dataEnd = lineEnd + 2 + size;
    if (text.length < dataEnd + 2) return null;
    if (size === 0) return {body, end: dataEnd + 2};
    body += text.slice(lineEnd + 2, dataEnd);
    at = dataEnd + 2;
  }
}

/** How the body of a message without a length ends: not at all (requests, HEAD, 204, 304), or with the connection. */
export type Unframed = 'empty' | 'until_close';

/** The first message of the text; null while it is not complete. */
export function readMessage(text: string, unframed: Unframed, isClosed: boolean, isBodiless = false): RawMessage | null {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const [startLine = '', ...lines] = text.slice(0, headEnd).split('\r\n');
  const fields = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '')] as const);
  const content = readContent(text, headEnd + 4, {fields}, isBodiless, unframed, isClosed);
  return content === null ? null : {startLine, fields, body: content.body, raw: text.slice(0, content.end)};
}

function readContent(text: string, start: number, head: Pick<RawMessage, 'fields'>, isBodiless: boolean, unframed: Unframed, isClosed: boolean): Content | null {
  if (isBodiless) return {body: '', end: start};
  if (fieldOf(head, 'transfer-encoding') !== undefined) return readChunked(text, start);
  const length = fieldOf(head, 'content-length');
  if (length === undefined && unframed === 'until_close') return isClosed ? {body: text.slice(start), end: text.length} : null;
  const end = start + Number(length ?? 0);
  return text.length < end ? null : {body: text.slice(start, end), end};
}
