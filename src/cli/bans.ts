/** `torwart ban`, `torwart unban`, `torwart bans`. */
import type {Ban} from '#src/control/ban-book.ts';
import {askDaemon, AskError} from '#src/cli/ask-daemon.ts';

export interface Output {
  write(text: string): unknown;
}

export interface Streams {
  readonly stdout: Output;
  readonly stderr: Output;
}

export interface BanTarget {
  readonly config: string;
  readonly network: string;
  /** Undefined: the whole node. */
  readonly customer?: string | undefined;
}

/** Exit code: 0, or 1 with the reason on `stderr`. */
export async function runBan({config, network, customer, forMs, reason}: BanTarget & {readonly forMs: number; readonly reason: string}, streams: Streams): Promise<number> {
  return report(streams, async () => {
    const {ban, isSaved} = await askDaemon(config, {command: 'ban', network, customer: customer ?? null, forMs, reason});
    warnUnsaved(isSaved, streams);
    return `banned ${describe(ban)}\n`;
  });
}

export async function runUnban({config, network, customer}: BanTarget, streams: Streams): Promise<number> {
  return report(streams, async () => {
    const {ban} = await askDaemon(config, {command: 'unban', network, customer: customer ?? null});
    return `no longer banned: ${ban.network} ${describeScope(ban)}\n`;
  });
}

export async function runBans({config, json}: {readonly config: string; readonly json: boolean}, streams: Streams): Promise<number> {
  return report(streams, async () => {
    const bans = await askDaemon(config, {command: 'bans'});
    if (json) return `${JSON.stringify(bans.map(toJson), null, 2)}\n`;
    return bans.length === 0 ? 'no bans\n' : bans.map((ban) => `${describe(ban)}\n`).join('');
  });
}

async function report({stdout, stderr}: Streams, ask: () => Promise<string>): Promise<number> {
  try {
    stdout.write(await ask());
    return 0;
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    stderr.write(`error: ${error.message}\n`);
    return 1;
  }
}

function warnUnsaved(isSaved: boolean, {stderr}: Streams): void {
  if (!isSaved) stderr.write('warning: the ban ends with the daemon: state.path is not set, or the folder cannot be written\n');
}

function describe(ban: Ban): string {
  return `${ban.network} ${describeScope(ban)} until ${toIso(ban.untilMs)} by ${ban.source}: ${ban.reason}`;
}

function describeScope({customer}: Ban): string {
  return customer === null ? 'from the node' : `from ${customer}`;
}

function toJson({customer, network, reason, source, sinceMs, untilMs}: Ban): Readonly<Record<string, string | null>> {
  return {scope: customer === null ? 'node' : 'customer', customer, network, reason, source, since: toIso(sinceMs), until: toIso(untilMs)};
}

function toIso(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
