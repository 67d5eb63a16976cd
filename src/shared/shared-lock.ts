/**
 * A lock in one cell of shared memory, for critical sections of some hundred nanoseconds.
 *
 * The cell counts: even is free, odd is held, and every change adds one. So a holder that never lets go can be told from a lock that
 * is merely busy: its cell stands still. A thread that died while it held a lock must not stop the others for ever, so whoever has seen
 * the same holder for `PATIENCE_MS` takes its place.
 */

const SPINS = 100;
const NAP_MS = 1;
/** Far longer than the system ever leaves a runnable thread waiting for a processor: a holder that lives is not robbed. */
const PATIENCE_MS = 1_000;

/**
 * Blocks until the lock is held and returns the stamp that `releaseLock` takes. Waiting is napping and not spinning, because the
 * holder may be waiting for this very processor; nobody is woken by name, so that the release costs one instruction.
 */
export function acquireLock(cells: Int32Array, cell: number): number {
  let seen = 0, spins = 0, naps = 0;
  for (;;) {
    const stamp = Atomics.load(cells, cell);
    const isFree = (stamp & 1) === 0;
    if (stamp !== seen) {
      seen = stamp;
      naps = 0;
    }
    if (isFree || naps >= PATIENCE_MS / NAP_MS) {
      // Free becomes held, and held becomes held by another.
      const mine = stamp + (isFree ? 1 : 2);
      if (Atomics.compareExchange(cells, cell, stamp, mine) === stamp) return mine;
    } else if (++spins > SPINS) {
      Atomics.wait(cells, cell, stamp, NAP_MS);
      naps++;
    }
  }
}

/** Changes nothing where the lock was taken over: it belongs to somebody else then. */
export function releaseLock(cells: Int32Array, cell: number, stamp: number): void {
  Atomics.compareExchange(cells, cell, stamp, stamp + 1);
}
