/** A contestant: how it is found, configured, started, asked and reloaded. One file a contestant implements this. */
import {request} from 'node:http';
import {truncateSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {readLogTail, type Child} from '../harness/children.ts';
import {findFreePort} from '../harness/machine.ts';
import {hostName, type Sites} from '../harness/sites.ts';
import type {Workplace} from '../harness/workplace.ts';

/** What a contestant can pass on beside HTTP/1.1. */
export type Protocol = 'http2' | 'websocket';

export interface Peer {
  readonly name: string;
  /** Variants of one program differ in their name only. */
  readonly program: string;
  /** What it lacks of the features that all should have; empty: a comparison of equals. */
  readonly lacks: readonly string[];
  /** How to get it, for the message that says that it is missing. */
  readonly install: string;
  /** Whether it has a table of customers that can be changed while it runs. */
  readonly hasCustomers: boolean;
  readonly speaks: readonly Protocol[];
  /** Groups of scenarios that it takes part in; null: all. */
  readonly groups: readonly string[] | null;
  /** Whether its table has one host whatever the sites say, which is then the only one that it is asked for. */
  readonly hasOneHost?: boolean;
  /** Null: not installed. */
  findVersion(work: Workplace): Promise<string | null>;
  start(work: Workplace, sites: Sites): Promise<Proxy>;
}

export interface Proxy {
  readonly peer: Peer;
  readonly child: Child;
  /** Threads or workers that carry traffic. */
  readonly threads: number;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  /** Puts another version of the sites in force; returns once that is asked for, before it is done. */
  reload(sites: Sites): void;
  stop(): Promise<void>;
  /** Bounds the access log, which grows by gigabytes otherwise. */
  truncateLog(): void;
}

/** What a contestant's file says of a start; the rest is the same for all. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly accessLog: string | null;
  /** Threads that carry traffic; not told: 1. Two have a CPU more. */
  readonly threads?: 1 | 2;
  reload?(child: Child, sites: Sites): void;
}

export interface Place {
  readonly directory: string;
  readonly httpPort: number;
  readonly httpsPort: number;
}

/** Of a contestant that is a proxy and nothing else. */
export const BARE_LACKS: readonly string[] = ['access log', 'limits', 'hardening', 'request id', 'hosts'];

const START_TIMEOUT_MS = 60_000, POLL_MS = 5, POLL_TIMEOUT_MS = 5_000;

/** Whether the proxy answers a request for the host with 200. Any failure is a no: it is asked again. */
export function answers(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const asked = request({host: '127.0.0.1', port, path: '/', headers: {host}, agent: false, timeout: POLL_TIMEOUT_MS}, response => {
      response.resume().once('close', () => resolve(response.statusCode === 200));
    });
    asked.once('timeout', () => asked.destroy()).once('error', () => resolve(false)).end();
  });
}

/** Milliseconds until the host is served. Throws where the process ends or the time is over. */
export async function waitUntilServed(child: Child, port: number, host: string): Promise<number> {
  const started = performance.now();
  while (!await answers(port, host)) {
    if (!child.isRunning()) throw new Error(`${child.name} ended: ${readLogTail(child)}`);
    if (performance.now() - started > START_TIMEOUT_MS) throw new Error(`${child.name} does not serve ${host}: ${readLogTail(child)}`);
    await sleep(POLL_MS);
  }
  return performance.now() - started;
}

/** Runs one contestant on free ports: `prepare` writes its configuration. */
export async function launchPeer(work: Workplace, peer: Peer, prepare: (place: Place) => Launch): Promise<Proxy> {
  const directory = work.makeDirectory(peer.name);
  const place = {directory, httpPort: await findFreePort(), httpsPort: await findFreePort()};
  const launch = prepare(place), {threads = 1} = launch, {proxy, pair} = work.pins;
  const logFile = `${directory}/output.log`;
  const child = await work.children.start(peer.name, launch.command, launch.args, {
    directory, logFile, cpus: proxy === null || pair === null ? [] : threads === 2 ? pair : [proxy], environment: launch.environment ?? {},
  });
  const startMs = await waitUntilServed(child, place.httpPort, hostName(0));
  return {
    peer, child, threads, startMs, httpPort: place.httpPort, httpsPort: place.httpsPort,
    reload: sites => {
      if (launch.reload === undefined) throw new Error(`${peer.name} cannot reload`);
      launch.reload(child, sites);
    },
    stop: () => work.children.stop(child.pid),
    truncateLog: () => { if (launch.accessLog !== null) truncateSync(launch.accessLog); },
  };
}
