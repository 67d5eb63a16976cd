/**
 * What a thread holds in memory for others: content that a client does not take, bodies that wait for an application, bytes that cannot be
 * used yet. Counted in blocks by client network, by customer and for the node, over all threads.
 *
 * One rule for all of it. Whoever may hold a block or more has itself watched; what is watched is asked at each tick how much it holds, and is
 * watched no longer when that is less than a block. So what passes through costs nothing, however large it is: only what stays is counted. What is
 * collected on purpose (bodies, parts of heads, further requests) counts at once.
 */
import type {ClientKey, FairPlaces, PlaceAccount} from '#src/balance/fair-places.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';

/** Holds something for somebody. */
export interface Holder {
  readonly heldBytes: number;
  readonly heldFor: ClientKey;
  /** Null where no customer is known yet. */
  readonly heldAccount: PlaceAccount | null;
}

/** One of each holder. */
export class Holding {
  readonly holder: Holder;
  isWatched = false;
  isListed = false;
  /** Blocks that are counted, and under whom. */
  blocks = 0;
  client: ClientKey | null = null;
  account: PlaceAccount | null = null;

  constructor(holder: Holder) {
    this.holder = holder;
  }
}

export class HeldMemory {
  readonly #places: FairPlaces;
  readonly #listed: Holding[] = [];

  /** @param places those of the kind `buffers` */
  constructor(places: FairPlaces) {
    this.#places = places;
  }

  /** May somebody begin for whom nothing is held yet? */
  judge(client: ClientKey, account: PlaceAccount): FaultCode | null {
    return this.#places.judge(client, account, 1);
  }

  watch(holding: Holding): void {
    holding.isWatched = true;
    if (holding.isListed) return;
    holding.isListed = true;
    this.#listed.push(holding);
  }

  /** The holder has collected more, which is counted at once. The fault says why it must not. */
  grow(holding: Holding): FaultCode | null {
    const {holder: {heldAccount, heldFor}} = holding;
    this.watch(holding);
    this.#measure(holding);
    return this.#places.judge(heldFor, heldAccount, 0);
  }

  /** The holder has let go of everything. */
  drop(holding: Holding): void {
    if (!holding.isWatched) return;
    holding.isWatched = false;
    this.#release(holding);
  }

  tick(): void {
    const listed = this.#listed;
    let kept = 0;
    for (const holding of listed) {
      if (holding.isWatched) holding.isWatched = this.#measure(holding) > 0;
      holding.isListed = holding.isWatched;
      if (holding.isListed) listed[kept++] = holding;
    }
    listed.length = kept;
  }

  /** Returns the blocks that are held. */
  #measure(holding: Holding): number {
    const {heldBytes, heldFor, heldAccount} = holding.holder;
    const blocks = Math.floor(heldBytes / LIMITS.heldBlockBytes);
    // A connection in cleartext goes on with another customer's requests, and a request of a trusted proxy's is another client's.
    if (heldAccount !== holding.account || heldFor !== holding.client) this.#release(holding);
    if (blocks > holding.blocks) {
      const more = blocks - holding.blocks;
      if (!this.#places.hold(heldFor, heldAccount, more)) return holding.blocks;
      holding.client = heldFor;
      holding.account = heldAccount;
    } else if (blocks < holding.blocks) this.#places.release(heldFor, heldAccount, holding.blocks - blocks);
    holding.blocks = blocks;
    return blocks;
  }

  #release(holding: Holding): void {
    const {account, blocks, client} = holding;
    holding.blocks = 0;
    holding.client = null;
    holding.account = null;
    if (blocks > 0 && client !== null) this.#places.release(client, account, blocks);
  }
}
