/** What every part of a run shares: settings, the processes, a directory, the backend. Made by `openWorkplace`, ended by `close`. */
import {chmodSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs';
import os from 'node:os';
import {join} from 'node:path';
import {startBackend, type Backend} from '../peers/backend.ts';
import {makeCertificate, type Certificate} from './certificate.ts';
import {Children, readVersion} from './children.ts';
import {choosePins, describeMachine, pinSelf, readAllowedCpus, readDescriptorLimit, type Machine, type Pins} from './machine.ts';
import {DOMAIN} from './sites.ts';

export interface Settings {
  /** Length of one sample. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly idleConnections: number;
  readonly tricklingClients: number;
  readonly webSockets: number;
  /** At most; the scenarios say how many they want. */
  readonly hostsMax: number;
  /** Customers of the start-up and reload scenario. */
  readonly customers: number;
  /** Of the scenarios about large bodies. */
  readonly largeBodyBytes: number;
  /** What a slow reader asks for. */
  readonly slowResponseBytes: number;
  /** As much as the load generators can, or next to nothing: few connections with pauses. */
  readonly load: 'full' | 'gentle';
}

/**
 * The warm-up is for those that compile while they run: their first two seconds say nothing about a process that serves
 * for months. Many connections, because what no collector has taken yet counts as theirs, however many share it.
 */
export const FULL_SETTINGS: Settings = {
  seconds: 1, warmUpSeconds: 5, rounds: 6, idleConnections: 5_000, tricklingClients: 1_000, webSockets: 1_000, hostsMax: 100_000, customers: 10_000,
  largeBodyBytes: 10 * 2 ** 20, slowResponseBytes: 2 ** 30, load: 'full',
};

/** So short that it only shows that everything works. */
export const SMOKE_SETTINGS: Settings = {
  seconds: 1, warmUpSeconds: 0, rounds: 1, idleConnections: 100, tricklingClients: 50, webSockets: 50, hostsMax: 200, customers: 50,
  largeBodyBytes: 2 ** 18, slowResponseBytes: 64 * 2 ** 20, load: 'gentle',
};

export interface Workplace {
  readonly settings: Settings;
  readonly children: Children;
  readonly pins: Pins;
  readonly machine: Machine;
  /** Connections that a proxy is configured for: each costs two descriptors. */
  readonly connections: number;
  readonly descriptors: number;
  readonly certificate: Certificate;
  readonly backend: Backend;
  /** Of the tools, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** A new, empty directory. */
  makeDirectory(name: string): string;
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 20_000;

/** Versions of the load generators. Throws with the way to get one that no run does without. */
async function findTools(children: Children, pins: Pins): Promise<Record<string, string>> {
  const wrk = await readVersion(children, 'wrk', ['-v'], /wrk (\S+)/);
  if (wrk === null) throw new Error('wrk is missing: apt-get install wrk');
  const taskset = pins.proxy === null ? 'not needed' : await readVersion(children, 'taskset', ['-V'], /(\d\S*)/);
  if (taskset === null) throw new Error('taskset is missing: apt-get install util-linux');
  const h2load = await readVersion(children, 'h2load', ['--version'], /nghttp2\/(\S+)/);
  return h2load === null ? {wrk} : {wrk, h2load};
}

export async function openWorkplace(settings: Settings): Promise<Workplace> {
  const children = new Children(), pins = choosePins(readAllowedCpus());
  const tools = await findTools(children, pins);
  const root = mkdtempSync(join(os.tmpdir(), 'torwart-bench-'));
  // Workers of servers that were started by root give their rights up, and still have to reach their files.
  chmodSync(root, 0o711);
  const discard = (): void => {
    children.killAll();
    rmSync(root, {recursive: true, force: true});
  };
  process.once('exit', discard);
  const machine = describeMachine(pins);
  const descriptors = readDescriptorLimit();
  let number = 0;
  const base = {
    settings, children, pins, machine, descriptors,
    connections: Math.min(CONNECTIONS_MAX, Math.floor((descriptors - 256) / 2)),
    makeDirectory: (name: string): string => {
      const directory = join(root, `${number++}-${name}`);
      mkdirSync(directory);
      return directory;
    },
  };
  const certificate = await makeCertificate(base.makeDirectory('certificate'), DOMAIN);
  const backend = await startBackend(base);
  await pinSelf(children, pins.load);
  const close = async (): Promise<void> => {
    await children.stopAll();
    process.off('exit', discard);
    discard();
  };
  return {...base, certificate, backend, versions: {...tools, node: process.versions.node, backend: backend.kind}, close};
}
