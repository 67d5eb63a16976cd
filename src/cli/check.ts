/** `torwart check`: is the configuration right? For people, and as the validate command of a configuration management. */
import path from 'node:path';
import {type ConfigResult, loadConfig} from '#src/config/load.ts';
import {formatProblem} from '#src/config/problem.ts';
import type {Snapshot} from '#src/config/snapshot.ts';
import {fileSource} from '#src/control/file-source.ts';
import {readMachine} from '#src/control/machine.ts';

interface Output {
  write(text: string): unknown;
}

/** Exit code: 0 with a summary on `stdout`, or 1 with every problem on `stderr`. Warnings are listed on `stderr` in both cases. */
export async function runCheck(configFile: string, stdout: Output, stderr: Output): Promise<number> {
  const result = await loadConfig(path.resolve(configFile), fileSource, {machine: readMachine(), nowMs: Date.now()});
  const shorten = createShortener();
  for (const warning of result.warnings) stderr.write(`warning: ${shorten(formatProblem(warning))}\n`);
  for (const problem of result.problems) stderr.write(`error: ${shorten(formatProblem(problem))}\n`);
  if (result.snapshot === null) {
    stderr.write(`failed: ${count(result.problems.length, 'problem')} in ${configFile}\n`);
    return 1;
  }
  stdout.write(`${summarise(result.snapshot, result)}\n`);
  return 0;
}

/** Paths below the working directory are shown relative to it: short, and editors and terminals can follow them. */
function createShortener(): (line: string) => string {
  const prefix = `${process.cwd()}${path.sep}`;
  return (line) => line.replaceAll(prefix, '');
}

function summarise({customers, node, revision}: Snapshot, {warnings}: ConfigResult): string {
  const sites = customers.flatMap((customer) => customer.sites);
  const pools = customers.flatMap((customer) => customer.pools);
  const parts = [
    count(customers.length, 'customer'),
    count(sites.flatMap((site) => site.hosts).length, 'host'),
    count(sites.flatMap((site) => site.routes).length, 'route'),
    count(pools.flatMap((pool) => pool.servers).length, 'server'),
    count(node.listeners.length, 'listener'),
    count(warnings.length, 'warning'),
    ...(node.stateFolder === null ? ['nothing outlives the daemon (no state.path)'] : []),
  ];
  return `ok: ${parts.join(', ')}, revision ${revision.slice(0, 12)}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
