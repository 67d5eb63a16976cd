/**
 * The access log of one proxy thread: lines are collected and written in batches to a file that is opened for appending, so that the
 * batches of several threads never mix. A slow disk costs memory up to a bound; beyond it lines are dropped and counted, because a
 * log that stops the service would be a way to stop the service.
 */
import {close, open, write} from 'node:fs';

const BATCH_CHARACTERS = 64 * 1024;
const PENDING_CHARACTERS_MAX = 8 * 1024 * 1024;
const STDOUT = 1;
const RETRY_MS = 20;
const LINE_FEED = 0x0a;
/** What one write puts into a pipe in one piece (PIPE_BUF of Linux): larger ones of several threads could mix. */
const PIPE_BYTES = 4096;

/** As many whole lines as fit into a pipe at once; one, where even that is too large. */
function endOfPiece(batch: Buffer, start: number): number {
  const limit = start + PIPE_BYTES;
  if (limit >= batch.length) return batch.length;
  const last = batch.lastIndexOf(LINE_FEED, limit - 1);
  const end = last >= start ? last : batch.indexOf(LINE_FEED, limit);
  return end < 0 ? batch.length : end + 1;
}

export interface AccessLogEvents {
  onDropped(lines: number): void;
  onError(message: string): void;
}

export class AccessLog {
  readonly #path: string;
  readonly #events: AccessLogEvents;
  #descriptor: number | null = null;
  #pending = '';
  #isBusy = false;
  #isReopenWanted = true;
  #isClosed = false;
  #isFailing = false;
  #isLineCut = false;
  #waiters: (() => void)[] = [];

  /** @param path absolute path, or `stdout` */
  constructor(path: string, events: AccessLogEvents) {
    this.#path = path;
    this.#events = events;
    this.flush();
  }

  /** Takes a complete line. */
  append(line: string): void {
    if (this.#pending.length + line.length > PENDING_CHARACTERS_MAX) {
      this.#events.onDropped(1);
      return;
    }
    this.#pending += line;
    if (this.#pending.length >= BATCH_CHARACTERS) this.flush();
  }

  /** Opens the file anew before the next batch: it has been renamed (SIGUSR1). */
  reopen(): void {
    this.#isReopenWanted = true;
    this.flush();
  }

  flush(): void {
    if (this.#isBusy) return;
    if (this.#isReopenWanted || (this.#descriptor === null && !this.#isClosed)) this.#open();
    else if (this.#pending !== '' && this.#descriptor !== null) this.#writeBatch(this.#descriptor);
    else this.#becomeQuiet();
  }

  /** Writes what is left and closes the file. */
  end(done: () => void): void {
    this.#isClosed = true;
    this.#waiters.push(done);
    this.flush();
  }

  #open(): void {
    this.#isReopenWanted = false;
    if (this.#path === 'stdout') {
      this.#descriptor = STDOUT;
      this.flush();
      return;
    }
    this.#isBusy = true;
    open(this.#path, 'a', 0o640, (error, descriptor) => {
      this.#isBusy = false;
      if (error === null) {
        if (this.#descriptor !== null) close(this.#descriptor, () => undefined);
        this.#descriptor = descriptor;
        this.#isFailing = false;
        this.flush();
        return;
      }
      // The next flush tries again; the operator hears of it once.
      if (!this.#isFailing) this.#events.onError(`the access log cannot be opened: ${error.message}`);
      this.#isFailing = true;
      if (this.#isClosed) this.#becomeQuiet();
    });
  }

  #writeBatch(descriptor: number): void {
    const batch = Buffer.from(this.#isLineCut ? `\n${this.#pending}` : this.#pending, 'latin1');
    this.#isLineCut = false;
    this.#pending = '';
    this.#isBusy = true;
    this.#writeRest(descriptor, batch, 0);
  }

  /** A full disk or a signal can cut a write short. */
  #writeRest(descriptor: number, batch: Buffer, start: number): void {
    const end = descriptor === STDOUT ? endOfPiece(batch, start) : batch.length;
    write(descriptor, batch, start, end - start, null, (error, written) => {
      if (error === null && start + written < batch.length) {
        this.#writeRest(descriptor, batch, start + written);
        return;
      }
      if (error?.code === 'EAGAIN') {
        // A pipe that its reader has not emptied.
        setTimeout(() => this.#writeRest(descriptor, batch, start), RETRY_MS);
        return;
      }
      this.#isBusy = false;
      if (error === null) this.#isFailing = false;
      else this.#onWriteFailed(batch, start, error);
      if (this.#pending.length >= BATCH_CHARACTERS || this.#isClosed || this.#isReopenWanted) this.flush();
    });
  }

  /** The rest of the batch is lost. What is written next must not go on within the line that was cut. */
  #onWriteFailed(batch: Buffer, start: number, error: Error): void {
    this.#isLineCut = start > 0 && batch[start - 1] !== LINE_FEED;
    let lines = 0;
    for (let at = batch.indexOf(LINE_FEED, start); at >= 0; at = batch.indexOf(LINE_FEED, at + 1)) lines++;
    this.#events.onDropped(lines);
    if (!this.#isFailing) this.#events.onError(`the access log cannot be written: ${error.message}`);
    this.#isFailing = true;
  }

  #becomeQuiet(): void {
    if (!this.#isClosed) return;
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    if (descriptor !== null && descriptor !== STDOUT) close(descriptor, () => undefined);
    for (const done of this.#waiters.splice(0)) done();
  }
}
