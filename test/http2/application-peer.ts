/**
 * A session with an application that exists only as bytes: what the handler hears and what the application would read, one line an event.
 * The session's first frames, and its requests, the same for all, are left out.
 */
import type {FaultCode} from '#src/core/faults.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {ClientSession, makeClientWorkspace, type ClientHandler} from '#src/http2/client-session.ts';
import type {Stream} from '#src/http2/stream.ts';
import {SETTINGS_ACK, settings} from '#test/http2/frames.ts';
import {SentFrames, errorName, type SentFrame} from '#test/http2/sent-frames.ts';

export const WORKSPACE = makeClientWorkspace();

export const KEEP_ALIVE_MS = 20_000;

/** Lines of a request. */
export function lines(method: string, path = '/', more = ''): string {
  return `:method: ${method}\r\n:scheme: http\r\n:authority: a.example\r\n:path: ${path}\r\n${more}`;
}

export class ApplicationPeer implements ClientHandler<string> {
  readonly session: ClientSession<string>;
  readonly events: string[] = [];
  readonly streams = new Map<number, Stream<string>>();
  /** What it has sent before anything else. */
  readonly opening: readonly SentFrame[];
  nowMs = 1_000_000;
  readonly #sent = new SentFrames();

  constructor() {
    this.session = new ClientSession(WORKSPACE, this, this.nowMs);
    this.#sent.skipPreface();
    this.opening = this.takeFrames();
  }

  /** Its settings are here, and it has been asked: a GET on stream 1, a POST whose content goes on on 3, a HEAD on 5. */
  static asked(): ApplicationPeer {
    const peer = new ApplicationPeer();
    peer.send(settings(), SETTINGS_ACK);
    peer.ask('GET');
    peer.ask('POST', {isOpen: true});
    peer.ask('HEAD');
    peer.takeFrames();
    return peer;
  }

  ask(method: string, {isOpen = false, path = '/', more = ''} = {}): Stream<string> {
    const stream = this.session.beginRequest('', method, lines(method, path, more));
    this.streams.set(stream.id, stream);
    if (!isOpen) this.session.endMessage(stream);
    return stream;
  }

  send(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      // Whoever reads beyond a piece's end must not find the next one there, nor later what was lent.
      const lent = Buffer.from(piece);
      this.session.receive(lent, this.nowMs);
      lent.fill(0xff);
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.session.onTick(this.nowMs, KEEP_ALIVE_MS);
  }

  takeBytes(): Buffer {
    const pieces: Buffer[] = [];
    for (let piece = this.session.takeOutput(); piece !== null; piece = this.session.takeOutput()) {
      pieces.push(Buffer.from(piece));
      this.session.onOutputWritten();
    }
    return Buffer.concat(pieces);
  }

  takeFrames(): SentFrame[] {
    return this.#sent.read(this.takeBytes());
  }

  /** Without answers to settings. */
  takeLines(): string[] {
    return this.#sent.describe(this.takeFrames());
  }

  // The handler.

  onInterim(stream: Stream<string>, {status}: ResponseHead): void {
    this.events.push(`interim ${stream.id} ${status}`);
  }

  onResponse(stream: Stream<string>, head: ResponseHead): void {
    this.events.push(`response ${stream.id} ${head.status}, body ${head.bodyLength}`);
    this.#pushFields('field', head.fields);
  }

  #pushFields(word: string, fields: FieldBlock): void {
    for (let i = 0; i < fields.count; i++) this.events.push(`${word} ${fields.name(i)}: ${fields.value(i)}`);
  }

  onData(stream: Stream<string>, bytes: Buffer, start: number, end: number): void {
    if (start >= end || end > bytes.length) throw new Error('an impossible span of content');
    if (stream.context === '') this.events.push(`data ${stream.id}`);
    stream.context += bytes.toString('latin1', start, end);
    this.events[this.events.findLastIndex((event) => event.startsWith(`data ${stream.id}`))] = `data ${stream.id} "${stream.context}"`;
  }

  onEnd(stream: Stream<string>, trailers: FieldBlock | null): void {
    if (trailers !== null) this.#pushFields('trailer', trailers);
    this.events.push(`end ${stream.id}`);
  }

  onReset(stream: Stream<string>, code: number, fault: FaultCode): void {
    if (!stream.isClosed) throw new Error('a stream was reset and is not closed');
    this.events.push(`reset ${stream.id} ${errorName(code)} ${fault}`);
  }

  onBackedUp(stream: Stream<string>): void {
    this.events.push(`backed up ${stream.id}`);
  }

  onDrain(stream: Stream<string>): void {
    this.events.push(`drain ${stream.id}`);
  }

  onConnectionError(code: number, fault: FaultCode): void {
    this.events.push(`error ${errorName(code)} ${fault}`);
  }
}
