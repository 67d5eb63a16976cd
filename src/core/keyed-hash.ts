/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, https://github.com/veorq/SipHash): a hash whose collisions nobody
 * can find without the key. Attackers choose what is hashed here (one /32 of IPv6 holds 2^32 client networks), and with a plain hash
 * they could aim at one set of a shared table. The half-width variant works on 32-bit words, which is what JavaScript is fast at.
 */

const KEY_BYTES = 8;

/** The result of the last call is left in `high` and `low` (signed words), so that hashing allocates nothing. */
export class KeyedHash {
  high = 0;
  low = 0;
  readonly #key0: number;
  readonly #key1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  /** The key is the first 8 bytes of the secret. */
  constructor(secret: Uint8Array) {
    if (secret.byteLength < KEY_BYTES) throw new RangeError(`the secret has ${secret.byteLength} bytes, not ${KEY_BYTES}`);
    const view = new DataView(secret.buffer, secret.byteOffset, KEY_BYTES);
    this.#key0 = view.getInt32(0, true);
    this.#key1 = view.getInt32(4, true);
  }

  /** Hashes 16 bytes: four words in little-endian order. */
  hashWords(a: number, b: number, c: number, d: number): void {
    this.#begin();
    this.#absorb(a);
    this.#absorb(b);
    this.#absorb(c);
    this.#absorb(d);
    this.#finish(16 << 24);
  }

  /** Hashes the UTF-16 code units, each as two bytes in little-endian order. */
  hashText(text: string): void {
    this.#begin();
    const evenLength = text.length & ~1;
    for (let i = 0; i < evenLength; i += 2) this.#absorb(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
    const rest = evenLength < text.length ? text.charCodeAt(evenLength) : 0;
    this.#finish(((2 * text.length) << 24) | rest);
  }

  #begin(): void {
    this.#v0 = this.#key0;
    this.#v1 = this.#key1 ^ 0xee;
    this.#v2 = this.#key0 ^ 0x6c796765;
    this.#v3 = this.#key1 ^ 0x74656462;
  }

  #absorb(word: number): void {
    this.#v3 ^= word;
    this.#mix(2);
    this.#v0 ^= word;
  }

  /** The last block holds the message's length modulo 256 in its top byte, and the bytes that fill no word. */
  #finish(lastBlock: number): void {
    this.#absorb(lastBlock);
    this.#v2 ^= 0xee;
    this.#mix(4);
    this.low = this.#v1 ^ this.#v3;
    this.#v1 ^= 0xdd;
    this.#mix(4);
    this.high = this.#v1 ^ this.#v3;
  }

  #mix(rounds: number): void {
    let v0 = this.#v0, v1 = this.#v1, v2 = this.#v2, v3 = this.#v3;
    for (let round = 0; round < rounds; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
