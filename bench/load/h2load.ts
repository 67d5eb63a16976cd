/** h2load as the load generator of HTTP/2: many streams of few connections, each request logged with its time. */
import {readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {hostName} from '../harness/sites.ts';
import {quantile} from '../harness/statistics.ts';
import type {Workplace} from '../harness/workplace.ts';
import type {Proxy} from '../peers/peer.ts';
import type {LoadResult} from '../scenarios/cost.ts';

export interface Http2Load {
  readonly connections: number;
  readonly streams: number;
  readonly path: string;
  /** POSTed with every request; 0: a GET. */
  readonly bodyBytes: number;
}

const GRACE_MS = 20_000;
/** Requests a second of a connection. */
const GENTLE_RATE = 250;
const STATUS_COLUMN = 1, DURATION_COLUMN = 2;

/** Durations in microseconds of the requests in h2load's log. Throws where one of them was not answered with 200. */
export function parseRequestLog(text: string): readonly number[] {
  return text.split('\n').filter(line => line !== '').map(line => {
    const columns = line.split('\t');
    if (columns[STATUS_COLUMN] !== '200') throw new Error(`a request was answered with ${columns[STATUS_COLUMN] ?? 'nothing'}`);
    return Number(columns[DURATION_COLUMN]);
  });
}

export async function runH2load(work: Workplace, proxy: Proxy, load: Http2Load, seconds: number): Promise<LoadResult> {
  const directory = work.makeDirectory('h2load'), log = join(directory, 'requests.tsv'), body = join(directory, 'body');
  if (load.bodyBytes > 0) writeFileSync(body, 'x'.repeat(load.bodyBytes));
  const url = `https://${hostName(0)}:${proxy.httpsPort}${load.path}`;
  const args = [
    '-t1', `-c${load.connections}`, `-m${load.streams}`, `-D${seconds}`, '--warm-up-time=0', `--connect-to=127.0.0.1:${proxy.httpsPort}`,
    `--log-file=${log}`, ...(load.bodyBytes > 0 ? [`--data=${body}`] : []),
    ...(work.settings.load === 'gentle' ? [`--rps=${GENTLE_RATE}`] : []), url,
  ];
  const {stdout} = await work.children.capture('h2load', args, seconds * 1_000 + GRACE_MS);
  if (!stdout.includes('Application protocol: h2')) throw new Error('the proxy does not speak HTTP/2');
  const durationsUs = parseRequestLog(readFileSync(log, 'utf8'));
  rmSync(log);
  if (durationsUs.length === 0) throw new Error('no request was answered');
  return {requests: durationsUs.length, seconds, p50Us: quantile(durationsUs, 0.5), p99Us: quantile(durationsUs, 0.99)};
}
