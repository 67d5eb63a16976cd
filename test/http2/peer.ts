/**
 * A session with a client that exists only as bytes: what the handler hears and what the client would read, one line an event. The session's
 * first frames, the same for all, are left out.
 */
import {LIMITS} from '#src/core/limits.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {makeSessionWorkspace, type SessionHandler} from '#src/http2/session-handler.ts';
import {ServerSession} from '#src/http2/server-session.ts';
import type {Stream} from '#src/http2/stream.ts';
import {TIMEOUTS} from '#test/http2/loopback.ts';
import {SentFrames, errorName, type SentFrame} from '#test/http2/sent-frames.ts';

/** What the handler does by itself. `answer`: 200 with the request's content as soon as it is complete. */
export type Habit = 'nothing' | 'answer';

const WORKSPACE = makeSessionWorkspace();

export class Peer implements SessionHandler<string> {
  readonly session: ServerSession<string>;
  readonly events: string[] = [];
  readonly streams = new Map<number, Stream<string>>();
  readonly faults: FaultCode[] = [];
  /** It was ended because nothing was asked. */
  isIdle = false;
  /** How often glitches were notable. */
  notable = 0;
  nowMs = 1_000_000;
  readonly #habit: Habit;
  readonly #sent = new SentFrames();

  constructor(habit: Habit = 'nothing') {
    this.#habit = habit;
    this.session = new ServerSession({scheme: 'https', timeouts: TIMEOUTS, workspace: WORKSPACE}, this, this.nowMs);
    this.takeFrames();
  }

  send(...pieces: readonly Buffer[]): void {
    // A copy each: whoever reads beyond a piece's end must not find the next one there.
    for (const piece of pieces) this.session.receive(Buffer.from(piece), this.nowMs);
  }

  /** Time passes, and the session is told of it every quarter of a second. */
  pass(ms: number): void {
    const end = this.nowMs + ms;
    while (this.nowMs < end) {
      this.nowMs = Math.min(end, this.nowMs + LIMITS.wheelTickMs);
      this.session.onTick(this.nowMs);
    }
  }

  stream(streamId: number): Stream<string> {
    const stream = this.streams.get(streamId);
    if (stream === undefined) throw new Error(`there was no stream ${streamId}`);
    return stream;
  }

  takeBytes(): Buffer {
    const pieces: Buffer[] = [];
    for (let piece = this.session.takeOutput(); piece !== null; piece = this.session.takeOutput()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** The frames that the client would have read by now. */
  takeFrames(): SentFrame[] {
    return this.#sent.read(this.takeBytes());
  }

  /** The same as lines, without answers to settings. */
  takeLines(): string[] {
    return this.#sent.describe(this.takeFrames());
  }

  /** 200 with a content. */
  answer(streamId: number, content: string | Buffer, lines = ''): void {
    const stream = this.stream(streamId);
    const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
    this.session.sendHead(stream, 200, lines);
    this.session.sendContent(stream, bytes, 0, bytes.length);
    this.session.endMessage(stream);
  }

  // The handler.

  onRequest(stream: Stream<string>, head: RequestHead): void {
    this.streams.set(stream.id, stream);
    stream.context = '';
    this.events.push(`request ${stream.id} ${head.method} ${head.target} for ${head.host}, body ${head.bodyLength}`);
    const {fields} = head;
    for (let i = 0; i < fields.count; i++) this.events.push(`field ${fields.name(i)}: ${fields.value(i)}`);
    if (this.#habit === 'answer' && head.bodyLength === 0) this.answer(stream.id, 'ok');
  }

  onInvalidRequest(stream: Stream<string>, fault: FaultCode): void {
    this.streams.set(stream.id, stream);
    this.faults.push(fault);
    this.events.push(`invalid ${stream.id} ${fault}`);
    this.session.sendHead(stream, 400, '');
    this.session.endMessage(stream);
  }

  onData(stream: Stream<string>, bytes: Buffer, start: number, end: number): void {
    if (start >= end || end > bytes.length) throw new Error('an impossible span of content');
    const content = bytes.toString('latin1', start, end);
    if (stream.context === '') this.events.push(`data ${stream.id}`);
    stream.context += content;
    this.events[this.events.findLastIndex((event) => event.startsWith(`data ${stream.id}`))] = `data ${stream.id} "${stream.context}"`;
  }

  onEnd(stream: Stream<string>): void {
    this.events.push(`end ${stream.id}`);
    if (this.#habit === 'answer') this.answer(stream.id, stream.context ?? '');
  }

  onBodyTimeout(stream: Stream<string>): void {
    this.events.push(`late ${stream.id}`);
  }

  onReset(stream: Stream<string>, code: number, fault: FaultCode): void {
    if (!stream.isClosed) throw new Error('a stream was reset and is not closed');
    if (!['client_gone', this.faults.at(-1)].includes(fault)) this.faults.push(fault);
    this.events.push(`reset ${stream.id} ${errorName(code)} ${fault}`);
  }

  onBackedUp(stream: Stream<string>): void {
    this.events.push(`backed up ${stream.id}`);
  }

  onDrain(stream: Stream<string>): void {
    this.events.push(`drain ${stream.id}`);
  }

  onIdle(): void {
    this.isIdle = true;
  }

  onGlitchQuarters(): void {
    // Told of all glitches, which `notable` is about.
  }

  onNotableGlitches(): void {
    this.notable++;
  }

  onRefusedRequest(fault: FaultCode): void {
    this.faults.push(fault);
    this.events.push(`refused ${fault}`);
  }

  onConnectionError(code: number, fault: FaultCode): void {
    if (fault !== this.faults.at(-1)) this.faults.push(fault);
    this.events.push(`error ${errorName(code)} ${fault}`);
  }
}
