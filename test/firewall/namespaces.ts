/** Network namespaces that a test makes for itself: what is loaded and connected there touches nothing of the machine. */
import assert from 'node:assert/strict';
import {spawn, spawnSync, type ChildProcessWithoutNullStreams} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {eventually} from '#test/support/eventually.ts';

/** What a suite ends with. */
export interface Scope {
  after(hook: () => void | Promise<void>): void;
}

/** For hooks that are added while others already run. The last is the first to be called. */
export class Cleanup implements Scope {
  readonly #hooks: (() => void | Promise<void>)[] = [];

  after(hook: () => void | Promise<void>): void {
    this.#hooks.push(hook);
  }

  async run(): Promise<void> {
    for (let hook = this.#hooks.pop(); hook !== undefined; hook = this.#hooks.pop()) await hook();
  }
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ROOT = path.resolve(import.meta.dirname, '../..');
const TOOLS = ['ip', 'nft', 'setpriv', 'mount', 'curl', 'bash'];
/** System tools live where the path of a user may not lead. */
const ENVIRONMENT = {...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`};
const COMMAND_TIMEOUT_MS = 20_000;

/** A user that nothing else on the machine runs as, and that needs no name. */
export const USER_ID = 64_123;

export function execute(command: string, args: readonly string[], input = ''): Outcome {
  const {status, stdout, stderr, error} = spawnSync(command, args, {input, encoding: 'utf8', env: ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS});
  if (error !== undefined) throw error;
  return {code: status, stdout, stderr};
}

function mustExecute(command: string, args: readonly string[], input = ''): string {
  const {code, stdout, stderr} = execute(command, args, input);
  assert.equal(code, 0, `${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Why namespaces cannot be made here; false where they can. In the form of the `skip` option. */
export function findObstacle(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = TOOLS.filter((tool) => spawnSync('which', [tool], {env: ENVIRONMENT}).status !== 0);
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  const name = `torwart-${process.pid}-try`;
  const made = execute('ip', ['netns', 'add', name]);
  if (made.code !== 0) return `this machine permits no network namespaces: ${made.stderr.trim()}`;
  const listed = execute('ip', ['netns', 'exec', name, 'nft', 'list', 'ruleset']);
  execute('ip', ['netns', 'delete', name]);
  return listed.code === 0 ? false : `this machine permits no nftables in namespaces: ${listed.stderr.trim()}`;
}

export class NetworkNamespace {
  readonly name: string;

  /** Gone with the scope, and the processes in it with their own. */
  constructor(scope: Scope, purpose: string) {
    this.name = `torwart-${process.pid}-${purpose}`;
    mustExecute('ip', ['netns', 'add', this.name]);
    scope.after(() => void mustExecute('ip', ['netns', 'delete', this.name]));
    this.ip('link set lo up');
  }

  /** `ip` with these words, in the namespace. */
  ip(words: string): void {
    mustExecute('ip', ['-n', this.name, ...words.split(' ')]);
  }

  run(command: readonly string[], input = ''): Outcome {
    return execute('ip', ['netns', 'exec', this.name, ...command], input);
  }

  /** Loads a ruleset, or only checks it. */
  nft(ruleset: string, options: readonly string[] = []): Outcome {
    return this.run(['nft', ...options, '-f', '-'], ruleset);
  }

  /** A process of the pinned Node, with a file of the repository, as root or as the user. Ended with the scope. */
  async spawnNode(scope: Scope, user: number, ready: string, args: readonly string[]): Promise<ChildProcessWithoutNullStreams> {
    // Bound to a folder that every user may enter, because the repository may lie under one that only root may. The mount is the namespace's own.
    const script = 'mount --bind "$1" /mnt && cd /mnt && user=$2 && shift 2 && exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs node_modules/.bin/node "$@"';
    const child = spawn('ip', ['netns', 'exec', this.name, 'sh', '-c', script, 'sh', ROOT, String(user), ...args], {env: ENVIRONMENT});
    const state = {output: ''};
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { state.output += chunk.toString(); });
    scope.after(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    await eventually(`"${ready}" is said`, () => {
      assert.equal(child.exitCode, null, state.output);
      return state.output.includes(ready);
    });
    return child;
  }
}

/** Joins two namespaces with a cable. */
export function connectNamespaces(a: NetworkNamespace, deviceOfA: string, b: NetworkNamespace, deviceOfB: string): void {
  a.ip(`link add ${deviceOfA} type veth peer name ${deviceOfB} netns ${b.name}`);
  a.ip(`link set ${deviceOfA} up`);
  b.ip(`link set ${deviceOfB} up`);
}
