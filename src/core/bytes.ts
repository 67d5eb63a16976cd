/** Bytes as they come from a network. */

const NOTHING = Buffer.alloc(0);

/** A copy with memory of its own: a slice of a pool would keep all of its neighbours alive. */
export function copyBytes(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}

/** The bytes from `start` to `end`, which the next read does not overwrite. `lent` is what reads go into. */
export function keepBytes(bytes: Buffer, start: number, end: number, lent: Buffer): Buffer {
  if (start === end) return NOTHING;
  return bytes === lent ? copyBytes(bytes, start, end) : bytes.subarray(start, end);
}
