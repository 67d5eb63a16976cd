/**
 * Who is banned, in shared memory of fixed size: one thread writes (control), all others only read, and nobody waits.
 *
 * A ban is a keyed hash of its scope and network, and its end. Open addressing with linear probing; a client is looked up once for each
 * prefix length that any ban has, so bans of whole networks cost no more than bans of addresses. Readers take no lock:
 *
 * - A place is never half of one ban and half of another: while its key changes, its end is `IN_FLUX`, and a reader looks at the key
 *   again after it has read the end. (Two halves of two keys are no key: they are hashes of 64 bits.)
 * - A removal closes its gap (see `#closeGap`) by copying a later ban forwards before the old copy goes. A reader that passed the gap
 *   before the copy, and the old place after, would miss that ban: `MOVES` changes in between, and whoever found nothing while it
 *   changed looks again.
 *
 * Every access is atomic, and so sequentially consistent: the order in the text is the order that all threads see.
 */
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import {maskWord, prefixBits, type Cidr, type IpAddress, type IpWords} from '#src/core/ip.ts';

/** Bans of the whole node, or of one customer. The seeds tell its keys from those of every other scope. */
export interface BanScope {
  readonly kind: 'node' | 'customer';
  readonly seedHigh: number;
  readonly seedLow: number;
}

/** @param customer null: the whole node */
export function createBanScope(customer: string | null, hash: KeyedHash): BanScope {
  hash.hashText(customer === null ? 'bans of the node' : `bans of a customer\n${customer}`);
  return {kind: customer === null ? 'node' : 'customer', seedHigh: hash.high, seedLow: hash.low};
}

const PREFIX_BITS = 128;
/** IPv4 networks are those of `::ffff:0:0/96`: their lengths begin in this word of the set of lengths. */
const FIRST_WORD_OF_IPV4 = 96 >>> 5;
const LENGTH_SET_WORDS = 5;

/** Of the header: how often a ban was moved, and how often one was made or changed. */
const MOVES = 0, SETS = 1;
/** Of the header, for each kind of scope: number of bans, the set of their prefix lengths, and how many have each length. */
const KIND_CELL = {node: 16, customer: 176} as const;
const NUMBER = 0, LENGTH_SET = 1, LENGTH_NUMBERS = 8;
const HEADER_WORDS = 336;

/** Key (high, low) and end in whole seconds of Unix time; an end of 0 is a free place. */
const ENTRY_WORDS = 3;
const HIGH = 0, LOW = 1, END = 2;
/** Not free, and of nobody: an end that has long passed. */
const IN_FLUX = 1;
const END_S_MAX = 2 ** 32 - 1;

function placesFor(bansMax: number): number {
  return 2 ** Math.ceil(Math.log2(bansMax * 1.5 + 1));
}

export class BanTable {
  readonly #cells: Int32Array;
  readonly #hash: KeyedHash;
  readonly #bansMax: number;
  readonly #placeMask: number;
  /** High and low word for each prefix length: networks of different length have different keys, even with the same base. */
  readonly #lengthSeeds = new Int32Array(2 * (PREFIX_BITS + 1));
  /** The key that `#setKey` made last. */
  #high = 0;
  #low = 0;

  static byteLength(bansMax: number): number {
    return (HEADER_WORDS + placesFor(bansMax) * ENTRY_WORDS) * Int32Array.BYTES_PER_ELEMENT;
  }

  /** `bansMax` as given to `byteLength`; the hash has the same secret in every thread. */
  constructor(buffer: SharedArrayBuffer, bansMax: number, hash: KeyedHash) {
    if (buffer.byteLength !== BanTable.byteLength(bansMax)) throw new RangeError(`${buffer.byteLength} bytes are not a table of ${bansMax} bans`);
    this.#cells = new Int32Array(buffer);
    this.#hash = hash;
    this.#bansMax = bansMax;
    this.#placeMask = placesFor(bansMax) - 1;
    for (let bits = 0; bits <= PREFIX_BITS; bits++) {
      hash.hashText(`bans of prefix length ${bits}`);
      this.#lengthSeeds[2 * bits] = hash.high;
      this.#lengthSeeds[2 * bits + 1] = hash.low;
    }
  }

  get size(): number {
    return Atomics.load(this.#cells, KIND_CELL.node + NUMBER) + Atomics.load(this.#cells, KIND_CELL.customer + NUMBER);
  }

  /** Another number after each ban that was made or changed. */
  get revision(): number {
    return Atomics.load(this.#cells, SETS);
  }

  /** The latest end (Unix time in milliseconds) of the scope's bans that cover the address, which may have passed; 0 without any. */
  findEndMs(scope: BanScope, ip: IpAddress): number {
    const kindCell = KIND_CELL[scope.kind];
    if (Atomics.load(this.#cells, kindCell + NUMBER) === 0) return 0;
    let latestS = 0;
    for (let word = ip.family === 4 ? FIRST_WORD_OF_IPV4 : 0; word < LENGTH_SET_WORDS; word++) {
      for (let lengths = Atomics.load(this.#cells, kindCell + LENGTH_SET + word); lengths !== 0; lengths &= lengths - 1) {
        const bit = 31 - Math.clz32(lengths & -lengths);
        this.#setKey(scope, ip.words, 32 * word + bit);
        latestS = Math.max(latestS, this.#findEndS());
      }
    }
    return latestS * 1000;
  }

  /** Adds a ban, or changes the end of the one that is there (whole seconds, rounded up). Only for the one thread that writes. */
  set(scope: BanScope, network: Cidr, endMs: number): void {
    const bits = prefixBits(network);
    this.#setKey(scope, network.base.words, bits);
    const place = this.#placeAt(this.#findIndex());
    const endS = Math.min(Math.max(Math.ceil(endMs / 1000), IN_FLUX + 1), END_S_MAX) | 0;
    if (Atomics.load(this.#cells, place + END) !== 0) Atomics.store(this.#cells, place + END, endS);
    else {
      if (this.size >= this.#bansMax) throw new RangeError(`there are ${this.#bansMax} bans already`);
      this.#write(place, this.#high, this.#low, endS);
      this.#count(scope, bits, 1);
    }
    Atomics.add(this.#cells, SETS, 1);
  }

  /** False where there is no such ban. Only for the one thread that writes. */
  delete(scope: BanScope, network: Cidr): boolean {
    const bits = prefixBits(network);
    this.#setKey(scope, network.base.words, bits);
    const index = this.#findIndex();
    if (Atomics.load(this.#cells, this.#placeAt(index) + END) === 0) return false;
    this.#closeGap(index);
    this.#count(scope, bits, -1);
    return true;
  }

  #setKey(scope: BanScope, words: IpWords, bits: number): void {
    const hash = this.#hash;
    hash.hashWords(words[0] & maskWord(bits, 0), words[1] & maskWord(bits, 1), words[2] & maskWord(bits, 2), words[3] & maskWord(bits, 3));
    // All three are hashes with a secret: their sum is as good a key as any.
    this.#high = hash.high ^ scope.seedHigh ^ (this.#lengthSeeds[2 * bits] as number);
    this.#low = hash.low ^ scope.seedLow ^ (this.#lengthSeeds[2 * bits + 1] as number);
  }

  #placeAt(index: number): number {
    return HEADER_WORDS + (index & this.#placeMask) * ENTRY_WORDS;
  }

  /** For readers: the end of the key's ban, or 0. */
  #findEndS(): number {
    for (;;) {
      const moves = Atomics.load(this.#cells, MOVES);
      const endS = this.#scan();
      if (endS !== 0 || Atomics.load(this.#cells, MOVES) === moves) return endS;
    }
  }

  #scan(): number {
    for (let index = this.#low; ; index++) {
      const place = this.#placeAt(index);
      if (Atomics.load(this.#cells, place + END) === 0) return 0;
      if (!this.#hasKey(place)) continue;
      const endS = Atomics.load(this.#cells, place + END) >>> 0;
      // In flux: not in force yet, or on its way from a later place, where it still stands.
      if (endS > IN_FLUX && this.#hasKey(place)) return endS;
    }
  }

  #hasKey(place: number): boolean {
    return Atomics.load(this.#cells, place + LOW) === this.#low && Atomics.load(this.#cells, place + HIGH) === this.#high;
  }

  /** For the writer: the index of the key's place, or of the free one where it belongs. There always is one: the table is larger than its cap. */
  #findIndex(): number {
    for (let index = this.#low; ; index++) {
      const place = this.#placeAt(index);
      if (Atomics.load(this.#cells, place + END) === 0 || this.#hasKey(place)) return index;
    }
  }

  #write(place: number, high: number, low: number, endS: number): void {
    Atomics.store(this.#cells, place + END, IN_FLUX);
    Atomics.store(this.#cells, place + HIGH, high);
    Atomics.store(this.#cells, place + LOW, low);
    Atomics.store(this.#cells, place + END, endS);
  }

  /** Moves bans forwards into the gap (Knuth, volume 3, 6.4, algorithm R), each copied before its old place becomes the next gap. */
  #closeGap(removed: number): void {
    let gap = removed;
    for (let index = gap + 1; ; index++) {
      const place = this.#placeAt(index);
      const endS = Atomics.load(this.#cells, place + END);
      if (endS === 0) break;
      const low = Atomics.load(this.#cells, place + LOW);
      const isBehindGap = ((index - low) & this.#placeMask) >= ((index - gap) & this.#placeMask);
      if (!isBehindGap) continue;
      this.#write(this.#placeAt(gap), Atomics.load(this.#cells, place + HIGH), low, endS);
      Atomics.add(this.#cells, MOVES, 1);
      gap = index;
    }
    Atomics.store(this.#cells, this.#placeAt(gap) + END, 0);
  }

  #count(scope: BanScope, bits: number, change: 1 | -1): void {
    const kindCell = KIND_CELL[scope.kind];
    const number = Atomics.add(this.#cells, kindCell + LENGTH_NUMBERS + bits, change) + change;
    const word = kindCell + LENGTH_SET + (bits >>> 5), bit = 1 << (bits & 31);
    if (number === 0) Atomics.and(this.#cells, word, ~bit);
    else Atomics.or(this.#cells, word, bit);
    Atomics.add(this.#cells, kindCell + NUMBER, change);
  }
}
