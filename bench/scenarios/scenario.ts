/** What a scenario is: who is started with which sites, what is sampled, and which number says who is better. */
import type {Direction} from '../harness/statistics.ts';
import type {Sites} from '../harness/sites.ts';
import type {Settings, Workplace} from '../harness/workplace.ts';
import type {Peer, Proxy} from '../peers/peer.ts';

/** Numbers by the keys of the scenario's columns. */
export type Sample = Readonly<Record<string, number>>;

export type Unit = 'per second' | 'microseconds' | 'milliseconds' | 'bytes' | 'percent' | 'count';

export interface Column {
  readonly key: string;
  readonly label: string;
  readonly unit: Unit;
  /** Where one contestant can be said to be better than another. */
  readonly better?: Direction;
}

/** Programs that some scenarios need, with the way to get them. */
export const TOOLS = {h2load: 'apt-get install nghttp2-client'} as const;
export type Tool = keyof typeof TOOLS;

export interface Scenario {
  readonly name: string;
  /** Scenarios of a group share a plot. */
  readonly group: string;
  readonly title: string;
  /** The first one is what the scenario is about: its ratio stands in the table. Those with a direction are plotted. */
  readonly columns: readonly [Column, ...Column[]];
  /** A proxy that lives through all rounds is warmed up first; one that is fresh for every sample shows its start. */
  readonly proxies: 'kept' | 'fresh';
  /** A program without which it is left out; all need wrk. */
  readonly tool?: Tool;
  /** Where a sample takes long and differs little. */
  readonly roundsMax?: number;
  sitesFor(settings: Settings): Sites;
  accepts(peer: Peer): boolean;
  /** Not a sample: what brings a kept proxy to its speed. */
  warmUp(work: Workplace, proxy: Proxy): Promise<void>;
  sample(work: Workplace, proxy: Proxy): Promise<Sample>;
}
