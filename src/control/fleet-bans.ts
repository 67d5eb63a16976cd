/**
 * Bans of the whole fleet. Each node has a list of its own, which is in force whatever the store does; what changes in it is put into the
 * store, and what others have put there is taken over. Of two changes of one ban, the later one counts.
 *
 * What stands in the store is encrypted and signed with the fleet's secret: whoever reads it learns no address, and whoever writes there
 * without the secret bans nobody and frees nobody.
 */
import type {BanBook, Ban, BanChange} from '#src/control/ban-book.ts';
import type {AskStore} from '#src/control/fleet-limits.ts';
import {FleetSeal, type SharedBan} from '#src/control/fleet-seal.ts';
import type {Reply} from '#src/control/store-protocol.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';

/** Who asked for a change that came from the store. */
export const VIA_FLEET = 'fleet';

const ENTRIES_PER_COMMAND = 50;
const COMMANDS_PER_ROUND = 40;
/** Clocks of nodes may differ by so much; what claims to be of a later time is worth nothing. */
const CLOCK_SKEW_MS_MAX = 24 * 3_600_000;
const REPORT_EVERY_MS = 60_000;

/** By field: the entries; when each was changed, as a number that only grows; and when each ends. What is of another type is removed. */
const KEYS = ['{torwart}:bans', '{torwart}:bans:changes', '{torwart}:bans:ends', '{torwart}:bans:epoch'] as const;
const PRELUDE = `
local time = redis.call('TIME')
local now, now_us = tonumber(time[1]), time[1] * 1000000 + time[2]
for i, kind in ipairs({'hash', 'zset', 'zset', 'string'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', KEYS[i]) end
end
local function forget(fields)
  for _, field in ipairs(fields) do
    redis.call('HDEL', KEYS[1], field)
    redis.call('ZREM', KEYS[2], field)
    redis.call('ZREM', KEYS[3], field)
  end
end
`;

/** ARGV: how many there may be; then field, value, stamp (Unix time in milliseconds) and end (in seconds) of each. */
const PUBLISH = `${PRELUDE}
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('%.0f', now_us + 86400000000), '+inf')
local last = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] or 0)
local score = math.max(now_us, last + 1)
for i = 2, #ARGV, 4 do
  local field, value, stamp = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local known = tonumber(string.match(redis.call('HGET', KEYS[1], field) or '', '^(%d+) ') or 0)
  if known < stamp or known > now * 1000 + 86400000 then
    redis.call('HSET', KEYS[1], field, value)
    redis.call('ZADD', KEYS[2], string.format('%.0f', score), field)
    redis.call('ZADD', KEYS[3], ARGV[i + 3], field)
    score = score + 1
  end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 200))
local surplus = redis.call('HLEN', KEYS[1]) - tonumber(ARGV[1])
if surplus > 0 then forget(redis.call('ZRANGE', KEYS[3], 0, math.min(surplus, 200) - 1)) end
return 1
`;

/** What is longer than any entry is none: an answer has its bounds. ARGV: after which change, how many, and what the store is to be known as from now on if it is new. */
const READ = `${PRELUDE}
local epoch = redis.call('GET', KEYS[4])
if not epoch then
  epoch = ARGV[3]
  redis.call('SET', KEYS[4], epoch)
end
local function short(text) return #text <= 8192 and text or '' end
local answer = {short(epoch)}
local changes = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #changes, 2 do
  answer[#answer + 1] = short(changes[i])
  answer[#answer + 1] = changes[i + 1]
  answer[#answer + 1] = short(redis.call('HGET', KEYS[1], changes[i]) or '')
end
return answer
`;

export interface FleetBansParts {
  readonly book: BanBook;
  readonly secret: string;
  readonly log: DaemonLog;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

export class FleetBans {
  /** Changes of others that were taken over, of this node that the store has, and entries that were not believed or could not be. */
  readonly counts = {adopted: 0, published: 0, refused: 0};
  readonly #parts: FleetBansParts;
  readonly #seal: FleetSeal;
  /** By ban: what the store has not heard of yet. */
  readonly #outbox = new Map<string, SharedBan>();
  /** By ban: when the change was made that stands here. */
  readonly #stamps = new Map<string, number>();
  /** Null: none has been met. */
  #epoch: string | null = null;
  #cursor = '0';
  #reportedMs = -Infinity;

  constructor(parts: FleetBansParts) {
    this.#parts = parts;
    this.#seal = new FleetSeal(parts.secret);
  }

  /** Something of the list of this node has changed. */
  onChange(change: BanChange, ban: Ban, by: string): void {
    const key = keyOf(ban);
    // Evicted and withdrawn are matters of this node.
    const isNews = by !== VIA_FLEET && (change === 'banned' || change === 'extended' || change === 'unbanned');
    if (isNews) this.#offer(ban, change !== 'unbanned', Math.max(this.#parts.now(), (this.#stamps.get(key) ?? 0) + 1));
  }

  /** There may be customers now whose bans could not be taken over, and networks that may be banned now. */
  startOver(): void {
    this.#cursor = '0';
  }

  /** Rejects where the store does not do it; then nothing is lost, and the next one goes on. */
  async exchange(ask: AskStore): Promise<void> {
    await this.#publish(ask);
    for (let round = 0; round < COMMANDS_PER_ROUND; round++) {
      const isMore = await this.#read(ask, round === 0);
      if (!isMore) return;
    }
  }

  #offer(ban: Ban, isStanding: boolean, stampMs: number): void {
    this.#stamps.set(keyOf(ban), stampMs);
    this.#outbox.set(keyOf(ban), {ban, isStanding, stampMs});
    this.#forgetOldStamps();
  }

  /** What has ended leaves a stamp: else somebody could put an entry of before it back into the store. */
  #forgetOldStamps(): void {
    if (this.#stamps.size <= 2 * LIMITS.bansMax) return;
    const standing = new Set(this.#parts.book.list().map(keyOf));
    for (const key of this.#stamps.keys()) if (!standing.has(key) && !this.#outbox.has(key)) this.#stamps.delete(key);
  }

  async #publish(ask: AskStore): Promise<void> {
    for (let round = 0; round < COMMANDS_PER_ROUND && this.#outbox.size > 0; round++) {
      const batch = [...this.#outbox].slice(0, ENTRIES_PER_COMMAND);
      const values = batch.flatMap(([, shared]) => {
        const field = this.#seal.fieldOf(shared.ban);
        return [field, this.#seal.close(shared, field), String(shared.stampMs), String(Math.ceil(shared.ban.untilMs / 1000))];
      });
      await ask(['EVAL', PUBLISH, String(KEYS.length), ...KEYS, String(2 * LIMITS.bansMax), ...values]);
      this.counts.published += batch.length;
      // What has changed once more meanwhile stays.
      for (const [key, shared] of batch) if (this.#outbox.get(key) === shared) this.#outbox.delete(key);
    }
  }

  /**
   * Whether there is more.
   * @param mayBeNew one that is another each time that it is asked is met only so often: that is work for each ban that stands
   */
  async #read(ask: AskStore, mayBeNew: boolean): Promise<boolean> {
    const reply = await ask(['EVAL', READ, String(KEYS.length), ...KEYS, this.#cursor, String(ENTRIES_PER_COMMAND), this.#seal.newEpoch()]);
    const [epoch = '', ...changes] = readTexts(reply);
    if (epoch !== this.#epoch) return mayBeNew && this.#meet(epoch);
    for (let at = 0; at + 2 < changes.length; at += 3) {
      const [field = '', score = '', value = ''] = changes.slice(at, at + 3);
      this.#consider(field, value);
      if (/^\d{1,17}$/.test(score)) this.#cursor = score;
    }
    return changes.length === 3 * ENTRIES_PER_COMMAND;
  }

  /** The store is new, or has lost everything: it is told of all bans that stand here, and read from the beginning. */
  #meet(epoch: string): boolean {
    this.#epoch = epoch;
    this.#cursor = '0';
    for (const ban of this.#parts.book.list()) {
      if (!this.#outbox.has(keyOf(ban))) this.#offer(ban, true, this.#stamps.get(keyOf(ban)) ?? ban.sinceMs);
    }
    return true;
  }

  #consider(field: string, value: string): void {
    const shared = this.#seal.open(value, field);
    const nowMs = this.#parts.now();
    if (shared === null || shared.stampMs > nowMs + CLOCK_SKEW_MS_MAX || shared.ban.untilMs > nowMs + LIMITS.banMsMax + CLOCK_SKEW_MS_MAX) {
      this.#refuse('an entry that no node of the fleet has made');
      return;
    }
    const {ban, isStanding, stampMs} = shared;
    const key = keyOf(ban);
    if (ban.untilMs <= nowMs || (this.#stamps.get(key) ?? 0) >= stampMs) return;
    if (isStanding) this.#adopt(ban, key, stampMs);
    else {
      this.#take(key, stampMs);
      this.#parts.book.unban(ban.customer, ban.network, VIA_FLEET);
    }
  }

  #adopt(ban: Ban, key: string, stampMs: number): void {
    const outcome = this.#parts.book.adopt(ban, VIA_FLEET);
    if (outcome.ok) this.#take(key, stampMs);
    else this.#refuse(outcome.error);
  }

  #take(key: string, stampMs: number): void {
    this.counts.adopted++;
    this.#stamps.set(key, stampMs);
    this.#outbox.delete(key);
    this.#forgetOldStamps();
  }

  #refuse(error: string): void {
    this.counts.refused++;
    const nowMs = this.#parts.now();
    if (nowMs - this.#reportedMs < REPORT_EVERY_MS) return;
    this.#reportedMs = nowMs;
    this.#parts.log.warn({error, refused: this.counts.refused}, 'a ban of the fleet was not taken over');
  }
}

function keyOf({customer, network}: Pick<Ban, 'customer' | 'network'>): string {
  return `${customer ?? ''} ${network}`;
}

function readTexts(reply: Reply): readonly string[] {
  if (!Array.isArray(reply) || reply.length === 0 || !reply.every((item) => typeof item === 'string')) throw new Error('the store gives no bans');
  return reply;
}
