/** This node in its fleet: the connection to the store, and what goes over it, each in its own rhythm. */
import {isDeepStrictEqual} from 'node:util';
import {ownListenersOf} from '#src/config/own-addresses.ts';
import type {FleetSnapshot, NodeSnapshot, SocketAddress} from '#src/config/snapshot.ts';
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

/** Between two lines of the log about a store that comes and goes. */
const REPORT_EVERY_MS = 10_000;

export interface FleetOptions {
  readonly memory: Pick<SharedMemory, 'fleetLedger' | 'rateTables'>;
  readonly log: DaemonLog;
  /** Monotonic milliseconds, the clock of the buckets. */
  readonly clock: () => number;
  readonly timings: FleetTimings;
}

interface Link {
  readonly settings: FleetSnapshot;
  readonly ownListeners: readonly SocketAddress[];
  readonly client: StoreClient;
  readonly timers: readonly NodeJS.Timeout[];
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #ledger: FleetLedger;
  readonly #limits: FleetLimits;
  #link: Link | null = null;
  #isUp = false;
  #isBusy = false;
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
    if (isDeepStrictEqual(this.#link?.settings ?? null, settings) && (this.#link === null || isDeepStrictEqual(this.#link.ownListeners, ownListeners))) return;
    this.stop();
    if (settings === null) return;
    const {timings} = this.#options;
    const client = new StoreClient({
      store: settings, ownListeners, timings,
      onReady: () => void this.#beat(client),
      onLost: (reason) => this.#setUp(false, reason),
    });
    const timers = [
      setInterval(() => void this.#exchange(client), timings.limitsEveryMs),
      setInterval(() => void this.#beat(client), timings.beatEveryMs),
    ];
    this.#link = {settings, ownListeners, client, timers};
  }

  stop(): void {
    for (const timer of this.#link?.timers ?? []) clearInterval(timer);
    this.#link?.client.close();
    this.#link = null;
    this.#isUp = false;
  }

  /** Null where there is no fleet. */
  report(): FleetReport | null {
    return this.#link === null ? null : {isUp: this.#isUp, exchanges: this.#exchanges, untold: this.#ledger.untold};
  }

  async #exchange(client: StoreClient): Promise<void> {
    if (!client.isReady || this.#isBusy) return;
    this.#isBusy = true;
    await this.#attempt(() => this.#limits.exchange((words) => client.command(words)));
    this.#isBusy = false;
  }

  async #beat(client: StoreClient): Promise<void> {
    if (client.isReady) await this.#attempt(() => client.command(['PING']));
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
    else this.#options.log.error({reason}, 'the store of the fleet is away: limits of the fleet are counted by this node alone');
  }
}
