/** The last good version of each customer over the daemon's life: what a start falls back to, and what is saved after each configuration that is in force. */
import {setTimeout} from 'node:timers/promises';
import type {MergeResult} from '#src/config/merge.ts';
import type {SavedCustomer} from '#src/config/restore.ts';
import {LastGoodFolder} from '#src/control/last-good-folder.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';

const RETRY_MS = 30_000;

export class LastGoodKeeper {
  readonly #folder: LastGoodFolder | null;
  readonly #log: DaemonLog;
  readonly #stopping = new AbortController();
  /** What is on disk, by name. */
  readonly #saved = new Map<string, SavedCustomer>();
  /** What is to be written, by name; null: to be removed. */
  readonly #due = new Map<string, SavedCustomer | null>();
  #isFailing = false;
  #saving: Promise<void> | null = null;

  /** @param stateFolder null: nothing outlives the daemon */
  constructor(stateFolder: string | null, log: DaemonLog) {
    this.#folder = stateFolder === null ? null : new LastGoodFolder(stateFolder);
    this.#log = log;
  }

  /** What earlier runs have saved. Whatever is wrong with it is logged and keeps nobody from being served. */
  load(): readonly SavedCustomer[] {
    if (this.#folder === null) return [];
    try {
      const {versions, refused} = this.#folder.read();
      for (const {file, reason} of refused) this.#log.error({file, error: reason}, 'a saved version of a customer is refused');
      for (const version of versions) this.#saved.set(version.name, version);
      return versions;
    } catch (error) {
      this.#log.error({err: error}, 'the saved versions of customers cannot be read');
      return [];
    }
  }

  /** Everybody's version in force is on disk, as far as is known. */
  get isSaved(): boolean {
    return this.#folder !== null && this.#due.size === 0;
  }

  /** To be called when the configuration is in force. Of broken customers what is on disk stays, also where it is of no use now. */
  keep({fresh, stale}: Pick<MergeResult, 'fresh' | 'stale'>): void {
    if (this.#folder === null) return;
    const known = new Set<string | null>(stale.flatMap(({customer, file}) => [customer, file]));
    for (const {file, customer, origin: {read}} of fresh) {
      if (customer === null || !read.ok) continue;
      const version = {name: customer.name, file, text: read.text}, saved = this.#saved.get(customer.name);
      known.add(customer.name);
      if (saved === undefined || saved.text !== version.text || saved.file !== file) {
        this.#due.set(customer.name, version);
      } else {
        // The text that is held anyway, and not a copy of it.
        this.#saved.set(customer.name, version);
        this.#due.delete(customer.name);
      }
    }
    for (const [name, {file}] of this.#saved) if (!known.has(name) && !known.has(file)) this.#due.set(name, null);
    this.#saving ??= this.#saveAll(this.#folder).finally(() => {
      this.#saving = null;
    });
  }

  /** What is not saved by now stays as it was. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#saving;
  }

  async #saveAll(folder: LastGoodFolder): Promise<void> {
    while (this.#due.size > 0 && !this.#stopping.signal.aborted) {
      try {
        await this.#saveDue(folder);
        if (this.#isFailing) this.#log.info('the versions of customers in force are saved again');
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing) this.#log.error({err: error}, 'the versions of customers in force cannot be saved: a start with a broken file falls back to older ones, or none');
        this.#isFailing = true;
        await setTimeout(RETRY_MS, undefined, {signal: this.#stopping.signal}).catch(() => undefined);
      }
    }
  }

  async #saveDue(folder: LastGoodFolder): Promise<void> {
    await folder.prepare();
    for (const [name, version] of this.#due) {
      if (this.#stopping.signal.aborted) break;
      if (version === null) await folder.remove(name);
      else await folder.write(version);
      if (version === null) this.#saved.delete(name);
      else this.#saved.set(name, version);
      // Something newer may have come in meanwhile.
      if (this.#due.get(name) === version) this.#due.delete(name);
    }
    await folder.sync();
  }
}
