/**
 * wrk as the load generator: cheap enough to share one CPU with the backend and still saturate every contestant.
 *
 * All that a scenario asks for becomes a small Lua script, which also prints the result as one line of JSON: nothing is read from
 * the text that is meant for people. Without a `request` function wrk builds its request once and runs no Lua while it measures.
 */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Proxy} from '../peers/peer.ts';
import {FOREMOST} from '../harness/children.ts';
import {DOMAIN, hostName} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';

export interface WrkLoad {
  readonly connections: number;
  readonly path: string;
  readonly tls: boolean;
  /** POSTed with every request; 0: a GET. */
  readonly bodyBytes: number;
  /** Requests ask for this many hosts in turn, each formatted anew; 0: all are the same text and ask for `host`. */
  readonly rotatedHosts: number;
  readonly newConnections: boolean;
  /** The only host that is asked for, where none are rotated. */
  readonly host: number;
  /** How long a connection waits before each request, at random and on average; 0: it asks as soon as it has its answer. */
  readonly pauseMs: number;
  /** It goes before all else on its CPU. */
  readonly isForemost: boolean;
}

export const SMALL_GET: WrkLoad = {connections: 64, path: '/', tls: false, bodyBytes: 0, rotatedHosts: 0, newConnections: false, host: 0, pauseMs: 0, isForemost: false};

export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Failed connects, reads, writes, time-outs and statuses of 400 and above. */
  readonly errors: number;
}

const MARK = 'torwart-bench-result ';
const REQUEST_TIMEOUT_S = 30;
const GENTLE_CONNECTIONS = 8, GENTLE_PAUSE_MS = 2;
/** On a machine that is overloaded a second may pass without an answer. */
const TRIES = 4;
/** A step that shares no factor with any number of hosts used here, so that neighbours in time are not neighbours in the table. */
const HOST_STEP = 7_919;

/** The name in the URL is what wrk sends as SNI; it exists nowhere, so the script looks up the loopback address instead. */
const RESOLVE = `function wrk.resolve(host, service) wrk.addrs = wrk.lookup("127.0.0.1", service) end`;

const REPORT = `function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n${MARK}{"requests":%d,"seconds":%.6f,"p50Us":%.1f,"p99Us":%.1f,"errors":%d}\\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end`;

function rotateHosts(hosts: number): string {
  return `local number = 0
function request()
  number = (number + ${HOST_STEP}) % ${hosts}
  wrk.headers["Host"] = "h" .. number .. ".${DOMAIN}"
  return wrk.format()
end`;
}

export function wrkScript(load: WrkLoad, gentlePauseMs = 0): string {
  const lines = [RESOLVE, `wrk.headers["Host"] = "${hostName(load.host)}"`, 'wrk.headers["User-Agent"] = "torwart-bench/1 (a user agent of usual length)"'];
  if (load.newConnections) lines.push('wrk.headers["Connection"] = "close"');
  if (load.bodyBytes > 0) lines.push('wrk.method = "POST"', `wrk.body = string.rep("x", ${load.bodyBytes})`);
  if (load.rotatedHosts > 0) lines.push(rotateHosts(load.rotatedHosts));
  if (load.pauseMs > 0) lines.push(`function delay() return math.random(0, ${2 * load.pauseMs}) end`);
  else if (gentlePauseMs > 0) lines.push(`function delay() return ${gentlePauseMs} end`);
  return [...lines, REPORT, ''].join('\n');
}

export function parseWrk(stdout: string): WrkResult {
  const line = stdout.split('\n').find(text => text.startsWith(MARK));
  if (line === undefined) throw new Error(`wrk printed no result: ${stdout.slice(-300)}`);
  return JSON.parse(line.slice(MARK.length)) as WrkResult;
}

/** Errors are counted. */
export async function runWrk(work: Workplace, proxy: Proxy, load: WrkLoad, seconds: number): Promise<WrkResult> {
  const script = join(work.makeDirectory('wrk'), 'load.lua'), isGentle = work.settings.load === 'gentle';
  writeFileSync(script, wrkScript(load, isGentle ? GENTLE_PAUSE_MS : 0));
  const url = `${load.tls ? 'https' : 'http'}://${hostName(load.host)}:${load.tls ? proxy.httpsPort : proxy.httpPort}${load.path}`;
  const args = ['-t1', `-c${isGentle ? Math.min(load.connections, GENTLE_CONNECTIONS) : load.connections}`, `-d${seconds}s`, `--timeout=${REQUEST_TIMEOUT_S}s`, '-s', script, url];
  const [command, ...commandArgs] = load.isForemost ? [...FOREMOST, 'wrk', ...args] : ['wrk', ...args];
  const {stdout, stderr} = await work.children.capture(command, commandArgs, (seconds + REQUEST_TIMEOUT_S) * 1_000);
  return parseWrk(stdout + stderr);
}

/** Throws where there was a single error: a number with failures in it is not a result. */
export async function runCleanWrk(work: Workplace, proxy: Proxy, load: WrkLoad, seconds: number): Promise<WrkResult> {
  let result = await runWrk(work, proxy, load, seconds);
  for (let tries = 1; tries < TRIES && result.requests === 0 && result.errors === 0; tries++) result = await runWrk(work, proxy, load, seconds * 2 ** tries);
  if (result.errors > 0 || result.requests === 0) throw new Error(`${result.errors} errors in ${result.requests} requests`);
  return result;
}
