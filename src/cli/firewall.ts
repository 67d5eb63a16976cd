/** `torwart firewall`: the routing tables as a ruleset for the kernel. */
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {isUser, listenersWithoutPort, renderFirewall} from '#src/config/firewall.ts';
import {loadConfig} from '#src/config/load.ts';
import {formatProblem} from '#src/config/problem.ts';
import {fileSource} from '#src/control/file-source.ts';

interface Output {
  write(text: string): unknown;
}

/** Exit code: 0 with the ruleset on `stdout`, or 1 with nothing there and every problem on `stderr`; 2 where the user cannot be one. */
export async function runFirewall(configFile: string, user: string, stdout: Output, stderr: Output): Promise<number> {
  if (!isUser(user)) {
    stderr.write(`error: --user: found ${JSON.stringify(user)}; allowed: the name or id of the user that runs the daemon, which is not root\n`);
    return 2;
  }
  const {snapshot, problems} = await loadConfig(path.resolve(configFile), fileSource, {cores: availableParallelism(), nowMs: Date.now()});
  for (const problem of problems) stderr.write(`error: ${formatProblem(problem)}\n`);
  if (snapshot === null) return 1;
  const unbound = listenersWithoutPort(snapshot.node);
  if (unbound.length > 0) {
    stderr.write(`error: found port 0 (listeners: ${unbound.join(', ')}); allowed: fixed ports; remedy: choose them, because rules are made for ports\n`);
    return 1;
  }
  stdout.write(renderFirewall(snapshot, user));
  return 0;
}
