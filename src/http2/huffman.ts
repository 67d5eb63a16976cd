/** The Huffman code of HPACK (RFC 7541 §5.2, appendix B). */

/**
 * Length of each byte's code in bits; the last is that of the end-of-string symbol. The code is canonical: codes of one length are
 * consecutive in the order of their symbols, and shorter ones come first, so that the lengths say everything.
 */
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
] as const;

const END_OF_STRING = 256;
const LENGTHS = Uint8Array.from(CODE_LENGTHS);
const CODES = assignCodes();

function assignCodes(): Uint32Array {
  const codes = new Uint32Array(CODE_LENGTHS.length);
  const symbols = Array.from(codes.keys()).sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    code <<= lengthOf(symbol) - length;
    length = lengthOf(symbol);
    codes[symbol] = code++;
  }
  return codes;
}

function lengthOf(symbol: number): number {
  return LENGTHS[symbol] as number;
}

/**
 * Decoding is a state machine that eats a byte a step. Its states are the inner nodes of the code's tree (the bits that begin a symbol)
 * and the dead state, which an end-of-string symbol leads to. A byte ends two symbols at most, the shortest having five bits, so a step
 * is one number: the next state, both symbols, and how many of them count.
 */
const DEAD = 256;
const STATE_BITS = 9;
const STATE_MASK = 511;
const FIRST_SHIFT = STATE_BITS;
const SECOND_SHIFT = FIRST_SHIFT + 8;
const COUNT_SHIFT = SECOND_SHIFT + 8;

interface Tree {
  /** Child of each node by bit: an inner node, or `-1 - symbol`. */
  readonly children: readonly (readonly [number, number])[];
  /** 1 where the bits since the last symbol may be the padding: fewer than eight, and all of them ones (RFC 7541 §5.2). */
  readonly isPadding: Uint8Array;
}

function buildTree(): Tree {
  const children: [number, number][] = [[0, 0]];
  const isPadding = new Uint8Array(DEAD + 1);
  for (const symbol of CODES.keys()) {
    let node = 0;
    for (let left = lengthOf(symbol) - 1; left >= 0; left--) {
      const pair = children[node] as [number, number];
      const bit = ((CODES[symbol] as number) >>> left) & 1;
      if (left === 0) pair[bit] = -1 - symbol;
      else if (pair[bit] === 0) pair[bit] = children.push([0, 0]) - 1;
      node = pair[bit] as number;
    }
  }
  let node = 0;
  for (let ones = 0; ones < 8; ones++) {
    isPadding[node] = 1;
    node = (children[node] as [number, number])[1];
  }
  return {children, isPadding};
}

const TREE = buildTree();
const STEPS = buildSteps();

function buildSteps(): Uint32Array {
  const steps = new Uint32Array((DEAD + 1) * 256).fill(DEAD);
  for (let state = 0; state < DEAD; state++) {
    for (let byte = 0; byte < 256; byte++) steps[state * 256 + byte] = buildStep(state, byte);
  }
  return steps;
}

function buildStep(state: number, byte: number): number {
  let node = state;
  let count = 0;
  let symbols = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const child = (TREE.children[node] as [number, number])[(byte >>> bit) & 1] as number;
    if (child === -1 - END_OF_STRING) return DEAD;
    node = Math.max(child, 0);
    if (child < 0) symbols |= (-1 - child) << (count++ === 0 ? FIRST_SHIFT : SECOND_SHIFT);
  }
  return (count << COUNT_SHIFT) | symbols | node;
}

/** What decoding may write for an input of this length, and a byte more. */
export function huffmanDecodedBytesMax(length: number): number {
  return Math.floor((length * 8) / 5) + 2;
}

/** Decodes `bytes[start, end)` into `target` from `at` on. Returns the position after it, or -1 where the code is not valid. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let state = 0;
  let to = at;
  for (let i = start; i < end; i++) {
    const step = STEPS[(state << 8) | (bytes[i] as number)] as number;
    // Both are always written: what does not count is overwritten by the next step.
    target[to] = step >>> FIRST_SHIFT;
    target[to + 1] = step >>> SECOND_SHIFT;
    to += step >>> COUNT_SHIFT;
    state = step & STATE_MASK;
  }
  return TREE.isPadding[state] === 1 ? to : -1;
}

/** Bytes that the text takes when it is encoded. */
export function huffmanEncodedBytes(latin1: string): number {
  let bits = 0;
  for (let i = 0; i < latin1.length; i++) bits += lengthOf(latin1.charCodeAt(i));
  return (bits + 7) >>> 3;
}

/** Encodes the text into `target` from `at` on. Returns the position after it. */
export function encodeHuffman(latin1: string, target: Uint8Array, at: number): number {
  let to = at;
  /** Bits that fill no byte yet, at most seven between two symbols; a code has 30 at most. */
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < latin1.length; i++) {
    const symbol = latin1.charCodeAt(i);
    let left = lengthOf(symbol);
    const code = CODES[symbol] as number;
    while (left > 0) {
      const taken = Math.min(8 - pendingBits, left);
      left -= taken;
      pending = (pending << taken) | ((code >>> left) & ((1 << taken) - 1));
      pendingBits += taken;
      if (pendingBits < 8) continue;
      target[to++] = pending;
      pending = 0;
      pendingBits = 0;
    }
  }
  if (pendingBits > 0) target[to++] = (pending << (8 - pendingBits)) | ((1 << (8 - pendingBits)) - 1);
  return to;
}
