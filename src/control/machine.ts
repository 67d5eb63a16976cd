import {availableParallelism, totalmem} from 'node:os';
import type {Machine} from '#src/config/compile-node.ts';

/** What there is for this process, by the limits of its control group where it has one (`MemoryMax` of systemd, a container). */
export function readMachine(): Machine {
  // Without a limit Node says 0, or more than any machine has.
  return {cores: availableParallelism(), memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity)};
}
