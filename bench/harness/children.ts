/**
 * Every process that the bench starts, so that each is ended by its own id, also when the bench is interrupted.
 *
 * A child leads a process group of its own: nginx's workers outlive a master that is killed, the group does not.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {closeSync, fstatSync, openSync, readSync} from 'node:fs';

/** What runs with this in front of it goes before all else on its CPU, where that is permitted (chrt(1); root is). */
export const FOREMOST = ['sh', '-c', 'chrt --rr 1 true 2>/dev/null && exec chrt --rr 1 "$@"; exec "$@"', 'foremost'] as const;

const STOP_MS = 3_000, VERSION_TIMEOUT_MS = 10_000;
const LOG_TAIL_BYTES = 2_000;

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Standard output and error of the process. */
  readonly logFile: string;
  isRunning(): boolean;
}

export interface StartOptions {
  readonly directory: string;
  readonly logFile: string;
  /** CPUs that the process may run on; empty: any. */
  readonly cpus: readonly number[];
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Captured {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What Node is told through the environment would reach only the contestants that are Node programs. */
function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const environment = {...process.env, ...extra};
  delete environment['NODE_OPTIONS'];
  return environment;
}

function pinned(cpus: readonly number[], command: string, args: readonly string[]): [string, readonly string[]] {
  return cpus.length === 0 ? [command, args] : ['taskset', ['-c', cpus.join(','), command, ...args]];
}

export class Children {
  /** Process ids, with the end of each. */
  readonly #running = new Map<number, Promise<void>>();

  /** Starts a process that runs until it is stopped. Throws where it cannot be started. */
  async start(name: string, command: string, args: readonly string[], options: StartOptions): Promise<Child> {
    const log = openSync(options.logFile, 'a');
    const [program, programArgs] = pinned(options.cpus, command, args);
    const child = spawn(program, programArgs, {
      cwd: options.directory, detached: true, env: cleanEnvironment(options.environment), stdio: ['ignore', log, log],
    });
    closeSync(log);
    const pid = await this.#track(child, program);
    return {name, pid, logFile: options.logFile, isRunning: () => this.#running.has(pid)};
  }

  /** Runs a process to its end and returns what it wrote; it is killed after `timeoutMs`. */
  async capture(command: string, args: readonly string[], timeoutMs: number): Promise<Captured> {
    const child = spawn(command, args, {detached: true, env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'pipe']});
    const output = {stdout: '', stderr: ''};
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output.stdout += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { output.stderr += text; });
    const pid = await this.#track(child, command);
    const timer = setTimeout(() => this.#signal(pid, 'SIGKILL'), timeoutMs);
    await this.#running.get(pid);
    clearTimeout(timer);
    return {code: child.exitCode, ...output};
  }

  async stop(pid: number): Promise<void> {
    this.#signal(pid, 'SIGTERM');
    const timer = setTimeout(() => this.#signal(pid, 'SIGKILL'), STOP_MS);
    await this.#running.get(pid);
    clearTimeout(timer);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map(pid => this.stop(pid)));
  }

  /** At once and without waiting: what a handler of `exit` can still do. */
  killAll(): void {
    for (const pid of this.#running.keys()) this.#signal(pid, 'SIGKILL');
  }

  /** Resolves with the process id once the program runs; rejects where it cannot be started. */
  #track(child: ChildProcess, command: string): Promise<number> {
    return new Promise((resolve, reject) => {
      child.once('error', error => reject(new Error(`${command} cannot be started: ${error.message}`)));
      child.once('spawn', () => {
        const {pid} = child;
        if (pid === undefined) throw new Error('a process that was started has an id');
        this.#running.set(pid, new Promise(ended => {
          child.once('close', () => {
            this.#running.delete(pid);
            ended();
          });
        }));
        resolve(pid);
      });
    });
  }

  #signal(pid: number, signal: NodeJS.Signals): void {
    if (!this.#running.has(pid)) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // Between its end and our notice of it the group is already gone.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The last words of a process, for an error message. */
export function readLogTail(child: Child): string {
  const log = openSync(child.logFile, 'r');
  const {size} = fstatSync(log), tail = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
  readSync(log, tail, 0, tail.length, size - tail.length);
  closeSync(log);
  return tail.toString().trim();
}

/** The version that a program prints about itself; null where there is no such program. */
export async function readVersion(children: Children, command: string, args: readonly string[], pattern: RegExp): Promise<string | null> {
  try {
    const {stdout, stderr} = await children.capture(command, args, VERSION_TIMEOUT_MS);
    return pattern.exec(stdout + stderr)?.[1] ?? null;
  } catch {
    return null;
  }
}
