/** What the bench needs to know of the machine: CPUs to pin to, free ports, limits, and a description without any names. */
import {readFileSync} from 'node:fs';
import {createServer} from 'node:net';
import os from 'node:os';
import type {Children} from './children.ts';

/** CPU of each part; null: not pinned. */
export interface Pins {
  readonly proxy: number | null;
  readonly load: number | null;
  readonly backend: number | null;
  /** CPUs of a proxy with two threads. With fewer than four there is none to spare: they share one with the load or the backend. */
  readonly pair: readonly [number, number] | null;
}

export interface Machine {
  readonly cpus: number;
  readonly model: string;
  readonly kernel: string;
  readonly memoryGiB: number;
  readonly pins: Pins;
}

/** The numbers in a list such as `0-2,5`. */
export function parseCpuList(text: string): number[] {
  return text.trim().split(',').flatMap(range => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return Array.from({length: last - first + 1}, (_, offset) => first + offset);
  });
}

/** CPUs that this process may use: in a container they need not begin with 0. */
export function readAllowedCpus(): number[] {
  const match = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return match?.[1] === undefined ? [] : parseCpuList(match[1]);
}

/** The proxy has a CPU of its own; the load generator and the backend share what is left. */
export function choosePins([proxy, load, backend, spare]: readonly number[]): Pins {
  if (proxy === undefined || load === undefined) return {proxy: null, load: null, backend: null, pair: null};
  return {proxy, load, backend: backend ?? load, pair: [proxy, spare ?? backend ?? load]};
}

export function describeMachine(pins: Pins): Machine {
  const model = os.cpus()[0]?.model.trim() ?? 'unknown';
  return {cpus: os.availableParallelism(), model, kernel: os.release(), memoryGiB: Math.round(os.totalmem() / 2 ** 30), pins};
}

/** Moves this process with all its threads to a CPU: the clients that are part of the bench run in it. */
export async function pinSelf(children: Children, cpu: number | null): Promise<void> {
  if (cpu === null) return;
  const {code, stderr} = await children.capture('taskset', ['-a', '-c', '-p', String(cpu), String(process.pid)], 5_000);
  if (code !== 0) throw new Error(`taskset failed: ${stderr.trim()}`);
}

/** File descriptors that a process may open. Node raises its own soft limit to the hard one. */
export function readDescriptorLimit(): number {
  const match = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return match === null ? 1024 : Number(match[1]);
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Below the range from which the system takes client ports (32768 and up), so that no outgoing connection takes it meanwhile. */
const FIRST_PORT = 20_000, PORTS = 12_000, PORT_TRIES = 50;

export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_TRIES; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port in ${PORT_TRIES} tries`);
}
