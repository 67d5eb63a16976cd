/** The limits that a request passes, in the order of their scopes. Whoever is over any of them that is enforced is refused. */
import type {LimitSnapshot} from '#src/config/snapshot.ts';
import {clientNetwork} from '#src/core/ip.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {FleetScope} from '#src/policy/fleet-scope.ts';
import {findOnlyCookie, findOnlyField} from '#src/policy/request-values.ts';
import type {RateBuckets} from '#src/shared/rate-buckets.ts';
import type {RateTables} from '#src/shared/rate-tables.ts';

/** Keyed hash of one of those whom a limit counts apart. */
export interface LimitKey {
  readonly keyHigh: number;
  readonly keyLow: number;
}

/** The same with the text that it is a hash of: on other nodes the hash is another. */
export interface NamedLimitKey extends LimitKey {
  readonly text: string;
}

export interface CompiledLimit extends Pick<LimitSnapshot, 'name' | 'key' | 'keyName' | 'intervalMs' | 'burst' | 'isEnforced' | 'isAnnounced'> {
  /** Empty for a limit of the node. */
  readonly customer: string;
  /** The common case, known without comparing texts. */
  readonly isPerClient: boolean;
  readonly buckets: RateBuckets;
  /** Of the values of headers and cookies. */
  readonly hash: KeyedHash;
  /** Null: the limit is this node's own. */
  readonly fleet: FleetScope | null;
  /** Tells the limit's keys from those of every other limit. A limit that keeps its name keeps its buckets over a reload. */
  readonly text: string;
  /** Its hash; 0 for limits of the fleet, whose keys are hashes with this text. */
  readonly seedHigh: number;
  readonly seedLow: number;
  /** The policy as clients are told it. */
  readonly policy: string;
}

/** Limits by what must be known of a request: who sends it, whose site it is for, which route it takes. */
export interface LimitSet {
  readonly onArrival: readonly CompiledLimit[];
  readonly onSite: readonly CompiledLimit[];
  readonly onRoute: readonly CompiledLimit[];
}

/** What keys are made of, as far as it is known, and what became of the request. */
export interface LimitedRequest {
  readonly client: (LimitKey & Pick<ClientIdentity, 'ip'>) | null;
  readonly host: string;
  readonly site: {readonly customer: {readonly limitKey: NamedLimitKey}; readonly hostKeys: HostKeys} | null;
  readonly route: {readonly limitKey: NamedLimitKey} | null;
  /** The limit that refused the request, else the first one that would have. */
  limit: string;
  /** Milliseconds after which the refusing limit would admit the next request. */
  retryAfterMs: number;
  /** Complete lines for the client. */
  rateLimitLines: string;
}

/** Counts what is over its limit. */
export type LimitObserver = (limit: CompiledLimit) => void;

export interface LimitParts {
  readonly tables: RateTables;
  readonly hash: KeyedHash;
  readonly fleet: FleetScope;
}

/** @param scope tells this list from every other: empty for the node, the customer's name, or the text of a route */
export function compileLimits(customer: string, scope: string, limits: readonly LimitSnapshot[], {tables, hash, fleet}: LimitParts): LimitSet {
  const compiled = limits.map((limit): CompiledLimit => {
    const {name, key, keyName, intervalMs, burst, isEnforced, isFleetWide, isAnnounced} = limit;
    const text = `${scope}\n${name}\n${key}`;
    hash.hashText(text);
    const windowS = Math.max(1, Math.round(burst * intervalMs / 1000));
    return {
      name, key, keyName, intervalMs, burst, isEnforced, isAnnounced, customer, hash, text,
      isPerClient: key === 'client' && !isFleetWide,
      fleet: isFleetWide ? fleet : null,
      buckets: tables.forWindow(burst * intervalMs),
      seedHigh: isFleetWide ? 0 : hash.high,
      seedLow: isFleetWide ? 0 : hash.low,
      policy: `"${name}";q=${burst};w=${windowS}`,
    };
  });
  return {
    onArrival: compiled.filter(({key}) => key === 'client' || key === 'header' || key === 'cookie'),
    onSite: compiled.filter(({key}) => key === 'customer' || key === 'host'),
    onRoute: compiled.filter(({key}) => key === 'route'),
  };
}

export function createLimitKey(text: string, hash: KeyedHash): NamedLimitKey {
  hash.hashText(`limited\n${text}`);
  return {text, keyHigh: hash.high, keyLow: hash.low};
}

/**
 * The key of each host as the configuration names it. All names under a wildcard have the wildcard's: whoever asks would choose the
 * bucket otherwise.
 */
export class HostKeys {
  readonly #keys: ReadonlyMap<string, NamedLimitKey>;

  constructor(patterns: readonly string[], hash: KeyedHash) {
    this.#keys = new Map(patterns.map((pattern) => [pattern, createLimitKey(`host\n${pattern}`, hash)]));
  }

  /** @param host one that the site is for */
  find(host: string): NamedLimitKey {
    const exact = this.#keys.get(host);
    if (exact !== undefined) return exact;
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const wildcard = this.#keys.get(`*${host.slice(dot)}`);
      if (wildcard !== undefined) return wildcard;
    }
    throw new Error('a host is found by a pattern of its site');
  }
}

/** Takes one token of every limit, up to the first that refuses: then false. */
export function takeLimits(limits: readonly CompiledLimit[], request: LimitedRequest, fields: FieldBlock, nowMs: number, observe: LimitObserver): boolean {
  for (const limit of limits) {
    // Both halves of a key are secret hashes, so their sum is as good a key as any.
    const key = limit.isPerClient ? known(request.client) : findKey(limit, request, fields);
    const keyHigh = limit.seedHigh ^ key.keyHigh, keyLow = limit.seedLow ^ key.keyLow;
    const waitMs = limit.buckets.take(keyHigh, keyLow, nowMs, limit.intervalMs, limit.burst);
    if (waitMs === 0) {
      if (limit.isAnnounced) request.rateLimitLines += describeAdmission(limit, limit.buckets.debt(keyHigh, keyLow, nowMs));
      if (limit.fleet !== null) limit.fleet.record(keyHigh, keyLow, limit);
    } else if (!recordExcess(limit, request, waitMs, observe)) return false;
  }
  return true;
}

/** Whether the request goes on. */
function recordExcess(limit: CompiledLimit, request: LimitedRequest, waitMs: number, observe: LimitObserver): boolean {
  observe(limit);
  if (request.limit === '' || limit.isEnforced) request.limit = limit.name;
  if (!limit.isEnforced) return true;
  request.retryAfterMs = waitMs;
  request.rateLimitLines = describe(limit, 0, waitMs);
  return false;
}

function findKey(limit: CompiledLimit, request: LimitedRequest, fields: FieldBlock): LimitKey {
  if (limit.fleet !== null) return hashText(limit.fleet.hash ?? limit.hash, `${limit.text}\n${findText(limit, request, fields)}`);
  const value = findValue(limit, fields);
  if (value !== null) return hashText(limit.hash, `value\n${value}`);
  return findNamedKey(limit, request) ?? known(request.client);
}

/** What the key is a hash of, in words that mean the same on every node. */
function findText(limit: CompiledLimit, request: LimitedRequest, fields: FieldBlock): string {
  const value = findValue(limit, fields);
  if (value !== null) return `value\n${value}`;
  return findNamedKey(limit, request)?.text ?? `client\n${clientNetwork(known(request.client).ip).words.join()}`;
}

/** Null where it is none that is named by the configuration. */
function findNamedKey({key}: CompiledLimit, {site, route, host}: LimitedRequest): NamedLimitKey | null {
  switch (key) {
    case 'customer': return known(site).customer.limitKey;
    case 'host': return known(site).hostKeys.find(host);
    case 'route': return known(route).limitKey;
    default: return null;
  }
}

function findValue({key, keyName}: CompiledLimit, fields: FieldBlock): string | null {
  return key === 'header' ? findOnlyField(fields, keyName) : key === 'cookie' ? findOnlyCookie(fields, keyName) : null;
}

function known<T>(value: T | null): T {
  if (value === null) throw new Error('a limit was asked before its key was known');
  return value;
}

function hashText(hash: KeyedHash, text: string): LimitKey {
  hash.hashText(text);
  return {keyHigh: hash.high, keyLow: hash.low};
}

/** draft-ietf-httpapi-ratelimit-headers-10: `r` requests are left, and there will be more of them in `t` seconds. */
function describe({policy, name}: CompiledLimit, left: number, moreInMs: number): string {
  return `ratelimit-policy: ${policy}\r\nratelimit: "${name}";r=${left};t=${Math.max(1, Math.ceil(moreInMs / 1000))}\r\n`;
}

function describeAdmission(limit: CompiledLimit, debtMs: number): string {
  const {intervalMs, burst} = limit;
  const owed = Math.ceil(debtMs / intervalMs - 1e-6);
  return describe(limit, Math.max(0, burst - owed), debtMs - (owed - 1) * intervalMs);
}
