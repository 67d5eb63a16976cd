/** Bans over the daemon's life: the list, the file that carries it over a restart, an audit line for each change, and the clock that ends them. */
import {setTimeout} from 'node:timers/promises';
import {listNeverBanned} from '#src/config/never-banned.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import {BanBook, type Ban, type BanChange} from '#src/control/ban-book.ts';
import {BanFile} from '#src/control/ban-file.ts';
import {SerialQueue} from '#src/control/serial-queue.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import type {BanReport} from '#src/observe/exposition.ts';
import {BanTable} from '#src/shared/ban-table.ts';
import type {BanOrder, SharedMemory} from '#src/shared/messages.ts';

const EXPIRE_EVERY_MS = 1000;
const RETRY_MS = 30_000;
/** A storm of bans spends this part of the time on saving them. */
const PAUSES_PER_SAVE = 9;
const PAUSE_MS_MAX = 1000;

export interface BanKeeperOptions {
  readonly memory: Pick<SharedMemory, 'banTable' | 'hashSecret'>;
  /** Null: bans end with the daemon. */
  readonly stateFolder: string | null;
  readonly log: DaemonLog;
  readonly now: () => number;
  /** For others who want to know of each change. */
  readonly onChange?: (change: BanChange, ban: Ban, by: string) => void;
}

export class BanKeeper {
  readonly book: BanBook;
  readonly #log: DaemonLog;
  readonly #file: BanFile | null;
  readonly #saves = new SerialQueue();
  #nextSave: Promise<boolean> | null = null;
  /** What is on disk is what is in the list, as far as is known. */
  #isSaved = false;
  #retryAtMs = Infinity;
  #evicted = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor({memory, stateFolder, log, now, onChange}: BanKeeperOptions) {
    const hash = new KeyedHash(memory.hashSecret);
    this.#log = log;
    this.#file = stateFolder === null ? null : new BanFile(stateFolder);
    this.book = new BanBook({
      table: new BanTable(memory.banTable, LIMITS.bansMax, hash), bansMax: LIMITS.bansMax, hash, now,
      onChange: (change, ban, by) => {
        this.#onChange(change, ban, by);
        onChange?.(change, ban, by);
      },
    });
  }

  /** Takes over the bans of the last run. Whatever is wrong with them is logged and keeps nobody from being served. */
  async start(snapshot: Snapshot): Promise<void> {
    if (this.#file === null) this.#log.info('bans end with this process: state.path is not set');
    else await this.#load(this.#file);
    this.configure(snapshot);
    this.#timer = setInterval(() => this.#tick(), EXPIRE_EVERY_MS);
  }

  configure({node, customers}: Snapshot): void {
    this.book.configure({neverBanned: listNeverBanned(node), customers: new Set(customers.map(({name}) => name))});
  }

  /** For what a proxy thread asks for. */
  obey(order: BanOrder, source: string): void {
    const outcome = this.book.ban({...order, source});
    if (!outcome.ok) this.#log.warn({...order, source, error: outcome.error}, 'a ban was refused');
  }

  /** Resolves when the changes of before are on disk: true; or false where they are not and will not be. */
  save(): Promise<boolean> {
    const file = this.#file;
    if (file === null) return Promise.resolve(false);
    // A save that waits for its turn will write what the list is then.
    this.#nextSave ??= this.#saves.run(() => {
      this.#nextSave = null;
      return this.#save(file);
    });
    return this.#nextSave;
  }

  report(): BanReport {
    return {...this.book.count(), evicted: this.#evicted, isSaved: this.#isSaved};
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#saves.run(() => Promise.resolve());
  }

  async #load(file: BanFile): Promise<void> {
    try {
      const {bans, broken} = await file.load();
      this.book.restore(bans);
      if (broken === null) this.#log.info({bans: this.book.size}, 'bans restored');
      else this.#log.error({error: broken}, 'the saved bans cannot be read: nobody is banned');
    } catch (error) {
      this.#log.error({err: error}, 'the state folder cannot be used: nobody is banned');
    }
    // Shows now, and not when it matters, whether bans can be saved.
    await this.save();
  }

  async #save(file: BanFile): Promise<boolean> {
    const startedMs = performance.now();
    const wasSaved = this.#isSaved;
    try {
      await file.save(this.book.list());
      this.#isSaved = true;
      if (this.#retryAtMs !== Infinity) this.#log.info('bans are saved again');
      this.#retryAtMs = Infinity;
    } catch (error) {
      this.#isSaved = false;
      if (wasSaved || this.#retryAtMs === Infinity) this.#log.error({err: error}, 'bans cannot be saved: they end with this process');
      this.#retryAtMs = performance.now() + RETRY_MS;
    }
    const pauseMs = Math.min(PAUSES_PER_SAVE * (performance.now() - startedMs), PAUSE_MS_MAX);
    void this.#saves.run(() => setTimeout(pauseMs));
    return this.#isSaved;
  }

  #tick(): void {
    this.book.expire();
    if (performance.now() >= this.#retryAtMs) void this.save();
  }

  #onChange(change: BanChange, {customer, network, reason, source, untilMs}: Ban, by: string): void {
    const detail = {audit: 'ban', change, customer, network, reason, source, until: new Date(untilMs).toISOString(), via: by};
    if (change === 'evicted') {
      this.#evicted++;
      this.#log.warn(detail, 'the list of bans is full: the one that would have ended first is gone');
    } else {
      this.#log.info(detail, `ban: ${change}`);
    }
    void this.save();
  }
}
