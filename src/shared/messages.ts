/** Everything that control and proxy threads say to each other. Plain data: a structured clone carries it. */
import type {CustomerSnapshot, NodeSnapshot, RuleSnapshot} from '#src/config/snapshot.ts';
import type {PlaceKind, PlaceMemory} from '#src/shared/place-kinds.ts';
import type {SlotRef} from '#src/shared/slots.ts';

/** A customer's configuration with its places in shared memory. */
export interface CustomerAssignment {
  readonly snapshot: CustomerSnapshot;
  /** Counter rows, see `CUSTOMER_ROW_LENGTH`. */
  readonly counters: SlotRef;
  /** Counter rows by pool name, see `POOL_ROW_LENGTH`; the pool `''` counts what no pool answered. */
  readonly poolCounters: Readonly<Record<string, SlotRef>>;
  /** What it has of each kind, see `shared/place-count.ts`. */
  readonly places: Readonly<Record<PlaceKind, SlotRef>>;
  /** Endpoint slots by `endpointKey(pool, server)`. */
  readonly endpoints: Readonly<Record<string, SlotRef>>;
}

export function endpointKey(pool: string, address: string, port: number): string {
  return `${pool} ${address} ${port}`;
}

/** The shared memory that lives as long as the process. */
export interface SharedMemory {
  /** Rows of `NODE_ROW_LENGTH`, one a thread. */
  readonly nodeCounters: SlotRef;
  readonly places: Readonly<Record<PlaceKind, PlaceMemory>>;
  /** Token buckets of every limit, see `shared/rate-tables.ts`. */
  readonly rateTables: readonly SharedArrayBuffer[];
  /** What was taken of limits that the fleet shares, see `shared/fleet-ledger.ts`. */
  readonly fleetLedger: SharedArrayBuffer;
  /** Failed logins by client, account and both. */
  readonly loginBuckets: SharedArrayBuffer;
  /** Who was banned for failed logins lately, and who has logged in: buckets of days. */
  readonly loginMemory: SharedArrayBuffer;
  /** Tunnels by client and by customer, which makes two entries each, see `shared/client-counts.ts`. */
  readonly tunnels: SharedArrayBuffer;
  /** Clients that can be told apart at the same time: an upper bound of every cap that is configured while the process lives. */
  readonly clientsMax: number;
  /** File descriptors that the process may have open; `Infinity` where that is not known. */
  readonly descriptorsMax: number;
  /** Who is banned, see `shared/ban-table.ts`. */
  readonly banTable: SharedArrayBuffer;
  /** 32 random bytes: keys of all hashes in shared memory, so that nobody outside can aim at a bucket. */
  readonly hashSecret: Uint8Array;
}

/** `workerData` of a proxy thread. */
export interface ThreadStart {
  readonly thread: number;
  readonly threads: number;
  readonly memory: SharedMemory;
  /** 48 bytes: TLS session ticket keys, the same for all threads. */
  readonly ticketKeys: Uint8Array;
}

export type ControlMessage =
  /** Change the configuration: first the node's (null: as it was), then customers that are new or changed, then those that are gone. */
  | {readonly type: 'configure'; readonly revision: string; readonly node: NodeSnapshot | null; readonly customers: readonly CustomerAssignment[]; readonly removed: readonly string[]}
  /** Rotate the TLS session ticket keys. */
  | {readonly type: 'ticketKeys'; readonly keys: Uint8Array}
  /** Reopen the access log (SIGUSR1). */
  | {readonly type: 'reopenLogs'}
  /** Stop accepting, finish requests, then exit; after `drainMs` cut what is left. */
  | {readonly type: 'drain'; readonly drainMs: number};

/** How often a rule has matched. */
export interface RuleMatches {
  /** Empty for a rule of the node. */
  readonly customer: string;
  readonly rule: string;
  readonly action: RuleSnapshot['action'];
  readonly count: number;
}

/** How often a limit has refused a request, or would have. */
export interface LimitExcesses {
  /** Empty for a limit of the node. */
  readonly customer: string;
  readonly limit: string;
  readonly mode: 'enforce' | 'observe';
  readonly count: number;
}

/** A request to ban a network. */
export interface BanOrder {
  /** Null: from the whole node. */
  readonly customer: string | null;
  /** CIDR without host bits, or one address. */
  readonly network: string;
  /** One printable line for people, see `LIMITS.banReasonLengthMax`. */
  readonly reason: string;
  readonly forMs: number;
}

/** What a login guard has found, added up. */
export interface LoginEvents {
  readonly customer: string;
  readonly guard: string;
  readonly stage: LoginStage;
  readonly detection: LoginDetection;
  /** Address of the last client. */
  readonly client: string;
  readonly count: number;
}

export const LOGIN_STAGES = ['failed', 'delayed', 'limited', 'banned'] as const;
export type LoginStage = (typeof LOGIN_STAGES)[number];
/** `brute_force`: one client, one account; `stuffing`: one client, many accounts; `spraying`: many clients, one account; `none`: nothing yet. */
export const LOGIN_DETECTIONS = ['none', 'brute_force', 'stuffing', 'spraying'] as const;
export type LoginDetection = (typeof LOGIN_DETECTIONS)[number];

export type ThreadMessage =
  /** The configuration is in force and every listener is bound. `listening` gives the bound ports by listener name. */
  | {readonly type: 'configured'; readonly revision: string; readonly listening: Readonly<Record<string, number>>}
  /** The configuration could not be put in force (for example a port that is taken); what was before still runs. */
  | {readonly type: 'configureFailed'; readonly revision: string; readonly error: string}
  | {readonly type: 'drained'}
  /** What login guards have found since the last report; sent once a second where there is anything. */
  | {readonly type: 'loginEvents'; readonly events: readonly LoginEvents[]}
  /** A client network has earned a ban; `source` names the part of the program that found it. */
  | {readonly type: 'ban'; readonly order: BanOrder; readonly source: string}
  /** What rules have matched since the last report; sent once a second where there is anything. */
  | {readonly type: 'ruleMatches'; readonly matches: readonly RuleMatches[]}
  /** What was over its limit since the last report; sent once a second where there is anything. */
  | {readonly type: 'limitExcesses'; readonly excesses: readonly LimitExcesses[]}
  /** A line for the daemon log. */
  | {readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly detail: Readonly<Record<string, string | number | boolean>>}
  /** Event-loop delay since the last report, in milliseconds; sent once a second. Silence means that the thread hangs. */
  | {readonly type: 'heartbeat'; readonly loopDelayMaxMs: number; readonly loopDelayMeanMs: number};
