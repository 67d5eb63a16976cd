/** What an exception costs: it is a bug, and a bug costs the connection that it happened on, and not the thread with all the others. */
import type {FaultCode} from '#src/core/faults.ts';

/** Something that can be given up at once, whatever it is at. */
export interface Losable {
  lose(fault: FaultCode): void;
}

/** The bug may be in the way of the end as well: a second exception is reported like the first, and goes no further. */
export function giveUp(victim: Losable, error: unknown, reportBug: (error: unknown) => void): void {
  reportBug(error);
  try {
    victim.lose('internal');
  } catch (another) {
    reportBug(another);
  }
}
