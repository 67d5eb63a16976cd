/** What limits of the whole fleet need besides buckets: keys that mean the same on every node, and the ledger of what was taken. */
import {createHash} from 'node:crypto';
import type {FleetSnapshot} from '#src/config/snapshot.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import type {FleetLedger} from '#src/shared/fleet-ledger.ts';

export class FleetScope {
  readonly #ledger: FleetLedger;
  /** With the secret of the fleet; null while the node is alone, and its limits are its own. */
  hash: KeyedHash | null = null;

  constructor(ledger: FleetLedger, fleet: FleetSnapshot | null) {
    this.#ledger = ledger;
    this.configure(fleet);
  }

  configure(fleet: FleetSnapshot | null): void {
    this.hash = fleet === null ? null : new KeyedHash(createHash('sha256').update(`torwart limits\n${fleet.secret}`).digest());
  }

  /** A token was taken here. */
  record(keyHigh: number, keyLow: number, {intervalMs, burst}: {readonly intervalMs: number; readonly burst: number}): void {
    if (this.hash !== null) this.#ledger.add(keyHigh, keyLow, intervalMs, burst);
  }
}
