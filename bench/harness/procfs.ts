/** CPU time and memory of a process with all its threads and children, from /proc (proc(5)). */
import {readFileSync, readdirSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';

/** Unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every architecture that Node supports on Linux. */
const MICROSECONDS_PER_TICK = 10_000;

export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** Of all threads and of the children that ended, in clock ticks. */
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** Microseconds of CPU time. */
export interface CpuTime {
  readonly user: number;
  /** In the kernel. */
  readonly system: number;
}

/** The command name stands in parentheses and may hold spaces and parentheses itself, so what follows the last one is counted. */
export function parseStat(text: string): ProcessStat {
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
  const userTicks = (user ?? NaN) + (childUser ?? NaN), systemTicks = (system ?? NaN) + (childSystem ?? NaN);
  if (end < 0 || Number.isNaN(userTicks + systemTicks)) throw new Error(`not a line of /proc/PID/stat: ${text.slice(0, 80)}`);
  return {pid: Number.parseInt(text, 10), parent: Number(fields[1]), userTicks, systemTicks};
}

/** Bytes of the proportional set: pages shared by processes count once in total, so that a master and its workers add up. */
export function parseSmapsRollup(text: string): number {
  const match = /^Pss:\s+(\d+) kB$/m.exec(text);
  if (match === null) throw new Error('no Pss in /proc/PID/smaps_rollup');
  return Number(match[1]) * 1024;
}

/** The processes of `stats` that descend from `root`, with `root` itself first. */
export function descendants(stats: readonly ProcessStat[], root: number): ProcessStat[] {
  const found = stats.filter(stat => stat.pid === root);
  for (let at = 0; at < found.length; at++) {
    found.push(...stats.filter(stat => stat.parent === found[at]?.pid));
  }
  return found;
}

/** A process may end between the listing and the read: that one is left out. */
function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

function readTree(root: number): ProcessStat[] {
  const stats: ProcessStat[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = readOrNull(`/proc/${name}/stat`);
    if (text !== null) stats.push(parseStat(text));
  }
  return descendants(stats, root);
}

/** What the process, its threads and its children have used so far. The kernel splits an exact sum by samples. */
export function readCpuTime(root: number): CpuTime {
  const tree = readTree(root);
  if (tree.length === 0) throw new Error(`process ${root} has ended`);
  const sum = (ticksOf: (stat: ProcessStat) => number): number => tree.reduce((ticks, stat) => ticks + ticksOf(stat), 0) * MICROSECONDS_PER_TICK;
  return {user: sum(stat => stat.userTicks), system: sum(stat => stat.systemTicks)};
}

export function subtractCpuTime(after: CpuTime, before: CpuTime): CpuTime {
  return {user: after.user - before.user, system: after.system - before.system};
}

/** Both together. */
export function readCpuMicroseconds(root: number): number {
  const {user, system} = readCpuTime(root);
  return user + system;
}

/** Bytes of memory that the process and its children hold. */
export function readMemoryBytes(root: number): number {
  let sum = 0;
  for (const {pid} of readTree(root)) {
    const text = readOrNull(`/proc/${pid}/smaps_rollup`);
    if (text !== null && text !== '') sum += parseSmapsRollup(text);
  }
  return sum;
}

const SETTLE_STEP_MS = 250, SETTLE_STEPS_MAX = 20, SETTLED_SHARE = 0.002;

/** Waits until garbage collectors and allocators have come to rest: two looks in a row that differ by less than 0.2 %. */
export async function readSettledMemory(root: number): Promise<number> {
  let before = readMemoryBytes(root);
  for (let step = 0; step < SETTLE_STEPS_MAX; step++) {
    await sleep(SETTLE_STEP_MS);
    const now = readMemoryBytes(root);
    if (Math.abs(now - before) < before * SETTLED_SHARE) return now;
    before = now;
  }
  return before;
}

const IDLE_SHARE = 0.1;

/** Waits until the process and its children use next to no CPU time, for the time of `SETTLE_STEPS_MAX` looks at most. */
export async function waitUntilIdle(root: number): Promise<void> {
  let before = readCpuMicroseconds(root);
  for (let step = 0; step < SETTLE_STEPS_MAX; step++) {
    await sleep(SETTLE_STEP_MS);
    const now = readCpuMicroseconds(root);
    if (now - before < SETTLE_STEP_MS * 1_000 * IDLE_SHARE) return;
    before = now;
  }
}
