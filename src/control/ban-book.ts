/** The one list of bans: what is asked for is checked here, told to the proxy threads through shared memory, and ended in time. */
import type {NeverBanned} from '#src/config/never-banned.ts';
import {cidrIncludes, cidrsOverlap, formatCidr, parseCidr, type Cidr} from '#src/core/ip.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {LIMITS} from '#src/core/limits.ts';
import {ExpiryQueue} from '#src/control/expiry-queue.ts';
import {createBanScope, type BanTable} from '#src/shared/ban-table.ts';
import type {BanOrder} from '#src/shared/messages.ts';

export interface Ban {
  /** Null: from the whole node. */
  readonly customer: string | null;
  /** Canonical CIDR. */
  readonly network: string;
  readonly reason: string;
  /** Who asked for it: `admin_socket`, or the part of the program that found the client out. */
  readonly source: string;
  /** Unix time in milliseconds, whole seconds. */
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** `extended`: there was one that ended earlier. `evicted`: the list was full. `withdrawn`: the configuration says that it can never be. */
export type BanChange = 'banned' | 'extended' | 'unbanned' | 'expired' | 'evicted' | 'withdrawn';

export type BanOutcome = {readonly ok: true; readonly ban: Ban} | {readonly ok: false; readonly error: string};

/** What the configuration says about bans. */
export interface BanPolicy {
  readonly neverBanned: readonly NeverBanned[];
  /** Names. */
  readonly customers: ReadonlySet<string>;
}

export interface BanBookParts {
  readonly table: BanTable;
  readonly bansMax: number;
  /** With the secret of the table's readers. */
  readonly hash: KeyedHash;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** After each change of the list. `by`: who asked for it, `time` or `configuration`. */
  readonly onChange: (change: BanChange, ban: Ban, by: string) => void;
}

/** One line that a terminal and a log can show as it is: no control, format or line-separating characters, no spaces at its ends. */
const REASON_PATTERN = /^(?! )[^\p{C}\p{Zl}\p{Zp}]+(?<! )$/u;
const SOURCE_PATTERN = /^[a-z_]{1,32}$/;
const QUEUE_SLACK = 1024;

interface Entry {
  readonly ban: Ban;
  readonly network: Cidr;
  /** For the queue. */
  readonly untilMs: number;
}

export class BanBook {
  readonly #parts: BanBookParts;
  readonly #entries = new Map<string, Entry>();
  /** Of every entry; those that have been replaced or removed since are skipped when they come up. */
  readonly #queue = new ExpiryQueue<Entry>();
  #policy: BanPolicy = {neverBanned: [], customers: new Set()};

  constructor(parts: BanBookParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** By scope and network. */
  list(): readonly Ban[] {
    return [...this.#entries.keys()].sort().map((key) => (this.#entries.get(key) as Entry).ban);
  }

  /** Number of bans by scope. */
  count(): {readonly node: number; readonly customer: number} {
    let node = 0;
    for (const {ban} of this.#entries.values()) if (ban.customer === null) node++;
    return {node, customer: this.#entries.size - node};
  }

  /**
   * Never shortens a ban of the same scope and network that stands: whoever wants that removes it first. Errors are sentences without a
   * capital and a full stop.
   */
  ban({customer, network: text, reason, forMs, source}: BanOrder & {readonly source: string}): BanOutcome {
    const network = parseCidr(text);
    const error = network === null ? describeNoNetwork(text) : this.#findObjection(network, customer) ?? checkOrder(reason, source, forMs);
    if (network === null || error !== null) return {ok: false, error: error ?? ''};
    const sinceMs = Math.floor(this.#parts.now() / 1000) * 1000;
    const ban: Ban = {customer, network: formatCidr(network), reason, source, sinceMs, untilMs: Math.ceil((this.#parts.now() + forMs) / 1000) * 1000};
    const standing = this.#entries.get(keyOf(customer, ban.network));
    if (standing !== undefined && standing.ban.untilMs >= ban.untilMs) return {ok: true, ban: standing.ban};
    this.#put(ban, network);
    this.#parts.onChange(standing === undefined ? 'banned' : 'extended', ban, source);
    return {ok: true, ban};
  }

  /** A ban as another node has made it: also where it ends sooner than the one that stands here. */
  adopt(ban: Ban, by: string): BanOutcome {
    const network = parseCidr(ban.network);
    const error = network === null ? describeNoNetwork(ban.network) : this.#findObjection(network, ban.customer);
    if (network === null || error !== null) return {ok: false, error: error ?? ''};
    const standing = this.#entries.get(keyOf(ban.customer, ban.network));
    if (standing?.ban.untilMs === ban.untilMs) return {ok: true, ban: standing.ban};
    this.#put(ban, network);
    this.#parts.onChange(standing === undefined ? 'banned' : 'extended', ban, by);
    return {ok: true, ban};
  }

  unban(customer: string | null, text: string, by: string): BanOutcome {
    const network = parseCidr(text);
    if (network === null) return {ok: false, error: describeNoNetwork(text)};
    const entry = this.#entries.get(keyOf(customer, formatCidr(network)));
    if (entry === undefined) return {ok: false, error: `${formatCidr(network)} is not banned ${customer === null ? 'from the node' : `by ${customer}`}`};
    this.#remove(entry, 'unbanned', by);
    return {ok: true, ban: entry.ban};
  }

  /**
   * A configuration has come into force. Bans that it makes impossible are withdrawn; where only a part of a ban's network can never be
   * banned, the ban stays, and the proxy threads let that part through. Bans of customers that are gone stay: they may come back.
   */
  configure(policy: BanPolicy): void {
    this.#policy = policy;
    for (const entry of this.#entries.values()) {
      if (policy.neverBanned.some(({network}) => cidrIncludes(network, entry.network))) this.#remove(entry, 'withdrawn', 'configuration');
    }
  }

  /** Ends what is due. */
  expire(): void {
    const nowMs = this.#parts.now();
    for (let entry = this.#findFirst(); entry !== undefined && entry.untilMs <= nowMs; entry = this.#findFirst()) this.#remove(entry, 'expired', 'time');
  }

  /** Takes over what another run had saved. */
  restore(bans: readonly Ban[]): void {
    for (const ban of bans) {
      const network = parseCidr(ban.network);
      if (network !== null && ban.untilMs > this.#parts.now()) this.#put(ban, network);
    }
  }

  #findObjection(network: Cidr, customer: string | null): string | null {
    if (customer !== null && !this.#policy.customers.has(customer)) return `there is no customer ${JSON.stringify(customer)}`;
    const protected_ = this.#policy.neverBanned.find((candidate) => cidrsOverlap(candidate.network, network));
    return protected_ === undefined ? null : `${formatCidr(network)} cannot be banned: it overlaps ${formatCidr(protected_.network)}, which is ${protected_.because}`;
  }

  #put(ban: Ban, network: Cidr): void {
    const {table, hash, bansMax} = this.#parts;
    const key = keyOf(ban.customer, ban.network);
    if (!this.#entries.has(key) && this.#entries.size >= bansMax) {
      const first = this.#findFirst();
      if (first !== undefined) this.#remove(first, 'evicted', ban.source);
    }
    const entry: Entry = {ban, network, untilMs: ban.untilMs};
    this.#entries.set(key, entry);
    table.set(createBanScope(ban.customer, hash), network, ban.untilMs);
    // Bans that are extended again and again must not fill the queue.
    if (this.#queue.size > 2 * this.#entries.size + QUEUE_SLACK) this.#queue.replaceAll(this.#entries.values());
    else this.#queue.push(entry);
  }

  #remove({ban, network}: Entry, change: BanChange, by: string): void {
    const {table, hash, onChange} = this.#parts;
    this.#entries.delete(keyOf(ban.customer, ban.network));
    table.delete(createBanScope(ban.customer, hash), network);
    onChange(change, ban, by);
  }

  /** The ban that ends first. */
  #findFirst(): Entry | undefined {
    for (;;) {
      const {first} = this.#queue;
      if (first === undefined || this.#entries.get(keyOf(first.ban.customer, first.ban.network)) === first) return first;
      this.#queue.shift();
    }
  }
}

function keyOf(customer: string | null, network: string): string {
  return `${customer ?? ''} ${network}`;
}

function describeNoNetwork(text: string): string {
  return `${JSON.stringify(text)} is not a network: write an IP address, or CIDR without bits behind the prefix such as 203.0.113.0/24 or 2001:db8:1:2::/64`;
}

export function isReason(text: string): boolean {
  return text.length <= LIMITS.banReasonLengthMax && REASON_PATTERN.test(text);
}

export function isSource(text: string): boolean {
  return SOURCE_PATTERN.test(text);
}

function checkOrder(reason: string, source: string, forMs: number): string | null {
  if (!isReason(reason)) return `the reason must be one printable line of 1 to ${LIMITS.banReasonLengthMax} characters`;
  if (!isSource(source)) return 'the source must be 1 to 32 lower-case letters and underscores';
  if (!(forMs >= 1000 && forMs <= LIMITS.banMsMax)) return 'a ban lasts from 1s to 8784h (366 days)';
  return null;
}
