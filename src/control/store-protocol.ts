/**
 * The protocol of Valkey and Redis (RESP, version 2), as much of it as is needed, with a bound on everything that the store sends: it is
 * a machine on the network, and what it says must not be able to exhaust this process. (The clients that npm has bound nothing of it, and
 * dial by themselves.) https://valkey.io/topics/protocol/
 */

/** An answer of the store that says that it did not do what was asked. */
export class StoreRefusal {
  /** Printable ASCII. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** Null: there is no such thing. Texts are latin1. */
export type Reply = string | number | null | StoreRefusal | readonly Reply[];

/** What came cannot be an answer: the connection is worth nothing any more. */
export class ProtocolError extends Error {}

export const STORE_LIMITS = {
  /** Of a status, an error or a number. */
  lineBytesMax: 1024,
  textBytesMax: 16 * 1024,
  itemsMax: 2048,
  /** Of one answer altogether. */
  replyBytesMax: 1024 * 1024,
  depthMax: 3,
} as const;

export function encodeCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** More bytes are needed; and what came was the beginning of a list. */
const INCOMPLETE = Symbol('incomplete'), OPENED = Symbol('opened');

interface OpenList {
  readonly count: number;
  readonly items: Reply[];
}

/** What has been read of an answer is not read again, however small the pieces are that it comes in. */
export class ReplyParser {
  #text = '';
  #at = 0;
  /** Of the answer that is not complete. */
  #openBytes = 0;
  /** The outermost first. */
  readonly #lists: OpenList[] = [];

  /** Complete answers, in their order. Throws a `ProtocolError`; after that, the parser must not be used again. */
  push(bytes: Buffer): readonly Reply[] {
    this.#text += bytes.toString('latin1');
    const replies: Reply[] = [];
    for (let reply = this.#read(); reply !== INCOMPLETE; reply = this.#read()) {
      replies.push(reply);
      this.#openBytes = 0;
    }
    if (this.#openBytes + this.#text.length > STORE_LIMITS.replyBytesMax) throw new ProtocolError('an answer is too large');
    return replies;
  }

  #read(): Reply | typeof INCOMPLETE {
    for (;;) {
      this.#at = 0;
      const value = this.#readValue();
      if (value === INCOMPLETE) return INCOMPLETE;
      this.#openBytes += this.#at;
      this.#text = this.#text.slice(this.#at);
      const reply = value === OPENED ? INCOMPLETE : this.#close(value);
      if (reply !== INCOMPLETE) return reply;
    }
  }

  /** Ends the lists that the value is the last one of. */
  #close(value: Reply): Reply | typeof INCOMPLETE {
    let closed = value;
    for (let list = this.#lists.at(-1); list !== undefined; list = this.#lists.at(-1)) {
      list.items.push(closed);
      if (list.items.length < list.count) return INCOMPLETE;
      closed = list.items;
      this.#lists.pop();
    }
    return closed;
  }

  #readValue(): Reply | typeof INCOMPLETE | typeof OPENED {
    const line = this.#readLine();
    if (line === INCOMPLETE) return INCOMPLETE;
    const rest = line.slice(1);
    switch (line[0]) {
      case '+': return rest;
      case '-': return new StoreRefusal(rest.replaceAll(/[^ -~]/g, '?'));
      case ':': return readInteger(rest, Number.MAX_SAFE_INTEGER);
      case '$': return this.#readText(readInteger(rest, STORE_LIMITS.textBytesMax));
      case '*': return this.#openList(readInteger(rest, STORE_LIMITS.itemsMax));
      default: throw new ProtocolError('an answer of an unknown type');
    }
  }

  #readLine(): string | typeof INCOMPLETE {
    const end = this.#text.indexOf('\r\n', this.#at);
    const length = (end < 0 ? this.#text.length : end) - this.#at;
    if (length > STORE_LIMITS.lineBytesMax) throw new ProtocolError('a line is too long');
    if (end < 0) return INCOMPLETE;
    const line = this.#text.slice(this.#at, end);
    this.#at = end + 2;
    return line;
  }

  #readText(length: number): string | null | typeof INCOMPLETE {
    if (length < 0) return null;
    const end = this.#at + length;
    if (this.#text.length < end + 2) return INCOMPLETE;
    if (!this.#text.startsWith('\r\n', end)) throw new ProtocolError('a text does not end where it should');
    const text = this.#text.slice(this.#at, end);
    this.#at = end + 2;
    return text;
  }

  #openList(count: number): Reply | typeof OPENED {
    if (count < 0) return null;
    if (this.#lists.length === STORE_LIMITS.depthMax) throw new ProtocolError('lists are nested too deep');
    if (count === 0) return [];
    this.#lists.push({count, items: []});
    return OPENED;
  }
}

/** -1 stands for "no such thing" where a length is expected. */
function readInteger(text: string, max: number): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= -1 && value <= max)) throw new ProtocolError('a number is none, or out of range');
  return value;
}
