/** A crew's thread: asks for clients that are banned and for clients that are not, again and again, and posts every wrong answer. */
import {parentPort, workerData} from 'node:worker_threads';
import {parseIp, type IpAddress} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {BanTable, createBanScope} from '#src/shared/ban-table.ts';
import {awaitCrew, type CrewData} from '#test/shared/crew.ts';

export interface LookUpTask {
  readonly buffer: SharedArrayBuffer;
  readonly bansMax: number;
  readonly secret: Uint8Array;
  /** One cell: how many threads have finished. */
  readonly done: SharedArrayBuffer;
  /** Banned until second 1,000 all the time. */
  readonly standing: readonly string[];
  /** Never banned. */
  readonly unknown: readonly string[];
}

export interface LookUpResult {
  readonly wrong: readonly string[];
}

const ROUNDS = 10_000;

const crew: CrewData<LookUpTask> = workerData;
const {buffer, bansMax, secret, done, standing, unknown} = crew.task;
const table = new BanTable(buffer, bansMax, new KeyedHash(secret));
const scope = createBanScope(null, new KeyedHash(secret));
const wrong: string[] = [];

function parse(text: string): IpAddress {
  const ip = parseIp(text);
  if (ip === null) throw new Error(text);
  return ip;
}

const expectations = [...standing.map((text) => ({text, ip: parse(text), endMs: 1_000_000})), ...unknown.map((text) => ({text, ip: parse(text), endMs: 0}))];
awaitCrew(crew);
for (let round = 0; round < ROUNDS; round++) {
  for (const {text, ip, endMs} of expectations) {
    const found = table.findEndMs(scope, ip);
    if (found !== endMs && wrong.length < 10) wrong.push(`${text}: ${found}`);
  }
}
Atomics.add(new Int32Array(done), 0, 1);
parentPort?.postMessage({wrong} satisfies LookUpResult);
