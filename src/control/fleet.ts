/** This node in its fleet: the connection to the store, and what goes over it, each in its own rhythm. */
import {isDeepStrictEqual} from 'node:util';
import {ownListenersOf} from '#src/config/own-addresses.ts';
import type {FleetSnapshot, NodeSnapshot, SocketAddress} from '#src/config/snapshot.ts';
import type {Ban, BanBook, BanChange} from '#src/control/ban-book.ts';
import {FleetBans} from '#src/control/fleet-bans.ts';
import {FleetLimits} from '#src/control/fleet-limits.ts';
import {STORE_TIMINGS, StoreClient, type StoreTimings} from '#src/control/store-client.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import type {FleetReport} from '#src/observe/exposition.ts';
import {FleetLedger} from '#src/shared/fleet-ledger.ts';
import type {SharedMemory} from '#src/shared/messages.ts';
import {RateTables} from '#src/shared/rate-tables.ts';

export interface FleetTimings extends StoreTimings {
  /** Between two exchanges of what was taken of limits. */
  readonly limitsEveryMs: number;
  /** Between two looks at everything else; the store is asked as often whether it is there. */
  readonly beatEveryMs: number;
}

export const FLEET_TIMINGS: FleetTimings = {...STORE_TIMINGS, limitsEveryMs: 100, beatEveryMs: 1000};

const NO_BANS = {adopted: 0, published: 0, refused: 0} as const;

/** Between two lines of the log about a store that comes and goes. */
const REPORT_EVERY_MS = 10_000;

export interface FleetOptions {
  readonly memory: Pick<SharedMemory, 'fleetLedger' | 'rateTables'>;
  /** The bans of this node. */
  readonly book: BanBook;
  readonly log: DaemonLog;
  /** Monotonic milliseconds, the clock of the buckets. */
  readonly clock: () => number;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  readonly timings: FleetTimings;
}

interface Link {
  readonly settings: FleetSnapshot;
  readonly ownListeners: readonly SocketAddress[];
  readonly client: StoreClient;
  /** Null where they are not shared. */
  readonly bans: FleetBans | null;
  readonly timers: readonly NodeJS.Timeout[];
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #ledger: FleetLedger;
  readonly #limits: FleetLimits;
  #link: Link | null = null;
  #isUp = false;
  #isBusy = false;
  #isBeating = false;
  #exchanges = {done: 0, failed: 0};
  #reportedMs = -Infinity;
  #reportedUp = true;

  constructor(options: FleetOptions) {
    const {memory, clock} = options;
    this.#options = options;
    this.#ledger = new FleetLedger(memory.fleetLedger);
    this.#limits = new FleetLimits({ledger: this.#ledger, tables: new RateTables(memory.rateTables), clock});
  }

  /** A configuration has come into force. */
  configure(node: NodeSnapshot): void {
    const {fleet: settings} = node;
    const ownListeners = ownListenersOf(node);
    this.#link?.bans?.startOver();
    if (isDeepStrictEqual(this.#link?.settings ?? null, settings) && (this.#link === null || isDeepStrictEqual(this.#link.ownListeners, ownListeners))) return;
    this.stop();
    if (settings === null) return;
    const {timings, book, log, now} = this.#options;
    const bans = settings.areBansShared ? new FleetBans({book, secret: settings.secret, log, now}) : null;
    const client = new StoreClient({
      store: settings, ownListeners, timings,
      onReady: () => {
        bans?.startOver();
        void this.#beat(client, bans);
      },
      onLost: (reason) => this.#setUp(false, reason),
    });
    const timers = [
      setInterval(() => void this.#exchange(client), timings.limitsEveryMs),
      setInterval(() => void this.#beat(client, bans), timings.beatEveryMs),
    ];
    this.#link = {settings, ownListeners, client, bans, timers};
  }

  stop(): void {
    for (const timer of this.#link?.timers ?? []) clearInterval(timer);
    this.#link?.client.close();
    this.#link = null;
    this.#isUp = false;
  }

  /** Something of the bans of this node has changed. */
  onBanChange(change: BanChange, ban: Ban, by: string): void {
    this.#link?.bans?.onChange(change, ban, by);
  }

  /** Null where there is no fleet. */
  report(): FleetReport | null {
    return this.#link === null ? null : {isUp: this.#isUp, exchanges: this.#exchanges, untold: this.#ledger.untold, bans: this.#link.bans?.counts ?? NO_BANS};
  }

  async #exchange(client: StoreClient): Promise<void> {
    if (!client.isReady || this.#isBusy) return;
    this.#isBusy = true;
    await this.#attempt(() => this.#limits.exchange((words) => client.command(words)));
    this.#isBusy = false;
  }

  async #beat(client: StoreClient, bans: FleetBans | null): Promise<void> {
    if (!client.isReady || this.#isBeating) return;
    this.#isBeating = true;
    await this.#attempt(() => (bans === null ? client.command(['PING']) : bans.exchange((words) => client.command(words))));
    this.#isBeating = false;
  }

  /** Never rejects. */
  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
      this.#exchanges.done++;
      if (this.#link !== null) this.#setUp(true, '');
    } catch (error) {
      this.#exchanges.failed++;
      if (this.#link !== null) this.#setUp(false, error instanceof Error ? error.message : String(error));
    }
  }

  #setUp(isUp: boolean, reason: string): void {
    this.#isUp = isUp;
    const nowMs = this.#options.clock();
    if (isUp === this.#reportedUp || (!isUp && nowMs - this.#reportedMs < REPORT_EVERY_MS)) return;
    this.#reportedUp = isUp;
    this.#reportedMs = nowMs;
    if (isUp) this.#options.log.info('the store of the fleet is there again');
    else this.#options.log.error({reason}, 'the store of the fleet is away: limits and bans are this node alone\'s');
  }
}
