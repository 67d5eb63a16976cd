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

export interface AccessLogEvents {
  onDropped(): void;
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
      this.#events.onDropped();
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
    const batch = Buffer.from(this.#pending, 'latin1');
    this.#pending = '';
    this.#isBusy = true;
    this.#writeRest(descriptor, batch, 0);
  }

  /** A full disk or a signal can cut a write short. */
  #writeRest(descriptor: number, batch: Buffer, start: number): void {
    write(descriptor, batch, start, batch.length - start, null, (error, written) => {
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
      if (error !== null) {
        this.#events.onDropped();
        this.#events.onError(`the access log cannot be written: ${error.message}`);
      }
      if (this.#pending.length >= BATCH_CHARACTERS || this.#isClosed || this.#isReopenWanted) this.flush();
    });
  }

  #becomeQuiet(): void {
    if (!this.#isClosed) return;
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    if (descriptor !== null && descriptor !== STDOUT) close(descriptor, () => undefined);
    for (const done of this.#waiters.splice(0)) done();
  }
}
