/** Resolves with the promise's value, or with `late` after `delayMs`. */
export async function withDeadline<T, L>(promise: Promise<T>, delayMs: number, late: L): Promise<T | L> {
  const {promise: expired, resolve} = Promise.withResolvers<L>();
  const timer = setTimeout(resolve, delayMs, late);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
