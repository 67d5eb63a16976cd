/**
 * Every bound that is not configuration, in one place. The unit is in the name. What operators may change is in the configuration
 * schema; what stands here is fixed because a different value would only ever be a mistake or an attack.
 */
export const LIMITS = {
  /** Request head, from the method to the empty line (431). */
  requestHeadBytesMax: 16 * 1024,
  requestFieldsMax: 100,
  requestTargetBytesMax: 8 * 1024,
  methodBytesMax: 32,
  hostBytesMax: 255,
  responseHeadBytesMax: 32 * 1024,
  responseFieldsMax: 200,
  /** Interim (1xx) responses before the final one; more is an endless head. */
  interimResponsesMax: 8,
  /** A chunk's size line: 16 hex digits and an extension. */
  chunkSizeDigitsMax: 16,
  chunkExtensionBytesMax: 256,
  /** All extensions of one message together: one byte of body behind a large extension is an amplification. */
  chunkExtensionBytesTotalMax: 16 * 1024,
  trailerBytesMax: 8 * 1024,
  trailerFieldsMax: 32,
  /** What is kept of further pipelined requests while one is being answered; then reading stops. */
  pipelineBytesMax: 64 * 1024,
  /** Head and body of a response below this size leave in one write, as one string. */
  singleWriteBytesMax: 8 * 1024,
  /** After a refusal the client's bytes are read and thrown away for a moment, so that it can read the answer. */
  lingerMs: 2_000,
  lingerBytesMax: 1024 * 1024,
  /** What one read of an upstream may bring. Larger than 64 KiB, so that a 64 KiB body and its head come at once. */
  readBufferBytes: 128 * 1024,
  /** Buffers of that size that a thread keeps for pieces of bodies on their way to clients. */
  idleBuffersMax: 32,
  requestIdBytesMax: 128,
  forwardedHopsMax: 32,
  /** One more endpoint may be tried after the first. */
  attemptsMax: 2,
  threadsMax: 64,
  wheelTickMs: 250,
  loggedValueBytesMax: 2 * 1024,
} as const;

function assertRelation(holds: boolean, text: string): void {
  if (!holds) throw new Error(`limits contradict each other: ${text}`);
}

assertRelation(LIMITS.requestTargetBytesMax < LIMITS.requestHeadBytesMax, 'a target fits into a head');
assertRelation(LIMITS.pipelineBytesMax >= LIMITS.requestHeadBytesMax, 'a pipelined head fits into the buffer');
assertRelation(LIMITS.chunkExtensionBytesMax <= LIMITS.chunkExtensionBytesTotalMax, 'one extension fits into the total');
assertRelation(LIMITS.attemptsMax >= 1, 'a request is tried at least once');
