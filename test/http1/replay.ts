/**
 * Drives the codec as a connection does and writes down what it says, one line an event. Bytes arrive in pieces: a head is parsed
 * again over everything that came so far, a body is decoded as it comes, and the next message follows in the same buffer.
 */
import {LIMITS} from '#src/core/limits.ts';
import {BodyDecoder, type BodySink} from '#src/http1/body-decoder.ts';
import {INCOMPLETE, INVALID, type FieldBlock} from '#src/http1/field-block.ts';
import {FOLDING_KNOWN, FOLDING_NAME, JOINED_COOKIE, NAMED_BY_CONNECTION} from '#src/http1/field-names.ts';
import {BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';
import {normaliseTarget} from '#src/http1/path.ts';
import {RequestHead} from '#src/http1/request-head.ts';
import {parseAuthority, toOriginForm} from '#src/http1/request-target.ts';
import {ResponseHead} from '#src/http1/response-head.ts';

export type Subject =
  /** `scheme`: the requests came to a listener of this scheme, and host and path are resolved too. Null: heads and bodies only. */
  | {readonly type: 'request'; readonly scheme: 'http' | 'https' | null; readonly encodedSlashAllowed: boolean}
  | {readonly type: 'response'; readonly requestMethod: string};

/** What stands around the bytes that the codec may look at: reading past them must not go unnoticed. */
const BEFORE = Buffer.from('\r\n\r\n0');
const BEYOND = 0x0a;

/** The events of `pieces`, followed by the end of the connection. Throws where a position is out of bounds. */
export function replay(subject: Subject, pieces: readonly Buffer[]): string[] {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const side = subject.type === 'request' ? new RequestSide(subject.scheme, subject.encodedSlashAllowed) : new ResponseSide(subject.requestMethod);
  const run = new Run(side, size);
  for (const piece of pieces) run.push(piece);
  return run.finish();
}

interface Side {
  /** Parses a head, adds its events, and returns what `parse` returned. */
  parse(bytes: Buffer, start: number, end: number, events: string[]): number;
  readonly bodyLength: number;
  readonly chunkFault: string;
  /** What follows the message that just ended. */
  next(): 'message' | 'nothing';
  readonly endEvent: string;
}

class Run implements BodySink {
  readonly #side: Side;
  readonly #bytes: Buffer;
  readonly #events: string[] = [];
  readonly #body = new BodyDecoder();
  #state: 'head' | 'body' | 'after' | 'fault' = 'head';
  #at = BEFORE.length;
  #end = BEFORE.length;
  #content: string[] = [];

  constructor(side: Side, size: number) {
    this.#side = side;
    this.#bytes = Buffer.alloc(BEFORE.length + size + 64, BEYOND);
    BEFORE.copy(this.#bytes);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (start >= end) throw new Error('an empty span of content');
    this.#content.push(bytes.toString('latin1', start, end));
  }

  push(piece: Buffer): void {
    piece.copy(this.#bytes, this.#end);
    this.#end += piece.length;
    let hasMoved = true;
    while (hasMoved) hasMoved = this.#state === 'head' ? this.#readHead() : this.#state === 'body' && this.#readBody();
  }

  finish(): string[] {
    if (this.#state === 'body') {
      if (this.#body.finish()) this.#endMessage();
      else this.#endContent();
    }
    if (this.#state === 'body' || (this.#state === 'head' && this.#at < this.#end)) this.#events.push('incomplete');
    if (this.#state === 'after' && this.#at < this.#end) this.#events.push('surplus');
    return this.#events.map(describeText);
  }

  #readHead(): boolean {
    const position = this.#side.parse(this.#bytes, this.#at, this.#end, this.#events);
    if (position === INCOMPLETE) return false;
    if (position === INVALID) {
      this.#state = 'fault';
      return false;
    }
    this.#move(position);
    const {bodyLength} = this.#side;
    if (bodyLength === BODY_CHUNKED) this.#events.push('chunked');
    else if (bodyLength === BODY_UNTIL_CLOSE) this.#events.push('until close');
    else if (bodyLength > 0) this.#events.push(`length ${bodyLength}`);
    this.#body.begin(bodyLength);
    this.#state = 'body';
    if (this.#body.isComplete) this.#endMessage();
    return true;
  }

  #readBody(): boolean {
    this.#move(this.#body.decode(this.#bytes, this.#at, this.#end, this));
    if (this.#body.isInvalid) {
      this.#endContent();
      this.#events.push(`fault ${this.#side.chunkFault}`);
      this.#state = 'fault';
      return false;
    }
    if (!this.#body.isComplete) {
      if (this.#at !== this.#end) throw new Error('an unfinished body left bytes behind');
      return false;
    }
    this.#endMessage();
    return true;
  }

  #endMessage(): void {
    this.#endContent();
    this.#events.push(this.#side.endEvent);
    this.#state = this.#side.next() === 'message' ? 'head' : 'after';
  }

  #endContent(): void {
    if (this.#content.length > 0) this.#events.push(`body "${this.#content.join('')}"`);
    this.#content = [];
  }

  #move(position: number): void {
    if (position < this.#at || position > this.#end) throw new Error(`position ${position} is outside of ${this.#at} to ${this.#end}`);
    this.#at = position;
  }
}

class RequestSide implements Side {
  readonly chunkFault = 'chunk_invalid';
  readonly #head = new RequestHead();
  readonly #scheme: 'http' | 'https' | null;
  readonly #encodedSlashAllowed: boolean;

  constructor(scheme: 'http' | 'https' | null, encodedSlashAllowed: boolean) {
    this.#scheme = scheme;
    this.#encodedSlashAllowed = encodedSlashAllowed;
  }

  get bodyLength(): number {
    return this.#head.bodyLength;
  }

  get endEvent(): string {
    return this.#head.isPersistent ? 'end' : 'end, close';
  }

  next(): 'message' | 'nothing' {
    return this.#head.isPersistent ? 'message' : 'nothing';
  }

  parse(bytes: Buffer, start: number, end: number, events: string[]): number {
    const head = this.#head;
    const position = head.parse(bytes, start, end);
    if (position === INVALID) events.push(`fault ${head.fault}`);
    if (position < 0) return position;
    events.push(`request ${head.method} ${head.target} HTTP/1.${head.minorVersion}`, ...describeFields(head.fields));
    if (this.#scheme === null) return position;
    const resolved = this.#resolve(this.#scheme);
    events.push(resolved);
    return resolved.startsWith('fault') ? INVALID : position;
  }

  #resolve(scheme: 'http' | 'https'): string {
    const authority = parseAuthority(this.#head.host);
    if (authority === null) return 'fault host_invalid';
    const target = toOriginForm(this.#head, scheme);
    if (typeof target !== 'string') return `fault ${target.fault}`;
    const normal = normaliseTarget(target, this.#encodedSlashAllowed);
    return normal === null ? 'fault path_ambiguous' : `for ${authority.text} ${normal}`;
  }
}

class ResponseSide implements Side {
  readonly chunkFault = 'upstream_chunk_invalid';
  readonly #head = new ResponseHead();
  readonly #requestMethod: string;
  #interimResponses = 0;

  constructor(requestMethod: string) {
    this.#requestMethod = requestMethod;
  }

  get bodyLength(): number {
    return this.#head.bodyLength;
  }

  get endEvent(): string {
    return this.#head.isPersistent ? 'end' : 'end, close';
  }

  next(): 'message' | 'nothing' {
    const {status} = this.#head;
    if (status >= 200 || status === 101) return 'nothing';
    return ++this.#interimResponses <= LIMITS.interimResponsesMax ? 'message' : 'nothing';
  }

  parse(bytes: Buffer, start: number, end: number, events: string[]): number {
    const head = this.#head;
    const position = head.parse(bytes, start, end, this.#requestMethod);
    if (position === INVALID) events.push(`fault ${head.fault}`);
    if (position < 0) return position;
    const reason = head.reason === '' ? '' : ` ${head.reason}`;
    events.push(`response HTTP/1.${head.minorVersion} ${head.status}${reason}`, ...describeFields(head.fields));
    return position;
  }
}

/** `dropped`: the name folds in a CGI environment. `hop`: the Connection field named it. */
function describeFields(fields: FieldBlock): string[] {
  return Array.from({length: fields.count}, (_, i) => {
    const number = fields.numbers[i];
    const word = number === FOLDING_NAME || number === FOLDING_KNOWN ? 'dropped' : number === NAMED_BY_CONNECTION ? 'hop' : number === JOINED_COOKIE ? 'joined' : 'field';
    return `${word} ${fields.name(i)}: ${fields.value(i)}`;
  });
}

/** An event as the documents write it: printable ASCII, escapes for everything else, and long repetitions by their count. */
export function describeText(text: string): string {
  return text
    .replace(/[^\x20-\x5b\x5d-\x7e]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/(.)\1{31,}/g, (run, character: string) => `{${run.length}*${character}}`);
}
