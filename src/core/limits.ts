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
  /** Between two looks whether a client that is not read is still there: the system tells only those who read or write. */
  absenceMs: 1_000,
  /** A client has ended its side of a tunnel: so long the application may be silent then. */
  tunnelFarewellMs: 10_000,
  /** Between two looks at all requests that may last whether their clients are banned by now. */
  lastingLookMs: 1_000,
  /** What one read of a client's connection may bring: of an upload that a busy thread is behind with, so much leaves in one write. */
  clientReadBytes: 128 * 1024,
  /** What one read of an upstream may bring. Larger than 64 KiB, so that a 64 KiB body and its head come at once. */
  readBufferBytes: 128 * 1024,
  /** Buffers of that size that a thread keeps for pieces of bodies on their way to clients. */
  idleBuffersMax: 32,
  /** TLS to applications: how long sessions may follow one another before a certificate is looked at again. */
  tlsSessionChainMs: 3_600_000,
  /** Between two lines of the daemon log about a pool whose TLS fails. */
  tlsFailureReportMs: 60_000,
  /**
   * Records of TLS without content: so many bytes of them are borne, and so many more with each look. A byte of content may have come in a record
   * of its own, which has 30 over TLS 1.2; and a whole record may not have come to its end yet.
   */
  tlsEmptyBytesMax: 32 * 1024,
  tlsEmptyBytesPerLook: 256,
  tlsLookMs: 2_000,
  tlsRecordBytesMin: 32,
  tlsRecordBytesMax: 16 * 1024 + 256 + 5,
  requestIdBytesMax: 128,
  forwardedHopsMax: 32,
  /** Basic credentials as they stand in the field: a name, a password, Base64. */
  credentialBytesMax: 512,
  /** Body of an answer of forward authentication, of which nothing is used. */
  authResponseBytesMax: 64 * 1024,
  /** UTF-16 code units of the account that an attempt to log in names. */
  loginAccountLengthMax: 256,
  /** The same of the name of a field in a form. */
  loginNameLengthMax: 1024,
  /** Of all names of an attempt's fields that are not ASCII. */
  loginFoldedLettersMax: 2048,
  /** Fields of a form that is an attempt to log in: PHP looks at no more (`max_input_vars`). */
  loginFieldsMax: 1000,
  /** Quotation marks and opening brackets of JSON that is one: those of as many fields with texts, and a little more. */
  loginMarksMax: 4 * 1000 + 96,
  /** Body of an attempt whose account is read: to read it takes the thread's time. */
  loginBodyBytesMax: 64 * 1024,
  /** Attempts that wait at the same time, in one thread, and those of one customer; further ones are refused. */
  loginsDelayedMax: 1024,
  loginsDelayedPerCustomerMax: 256,
  /** A further ban is twice as long until so much time has passed without; a client that has logged in is remembered as long for its account. */
  banLevelMs: 24 * 3_600_000,
  loginTrustMs: 30 * 24 * 3_600_000,
  banLevelMax: 16,
  /** Passwords that wait for their check, in one thread; none of them is another customer's to crowd out. */
  passwordsWaitingMax: 256,
  passwordsWaitingPerCustomerMax: 32,
  /** Credentials that were right, and for how long they need no new check; of one way to prove who one is, in one thread. */
  verifiedCredentialsMax: 1024,
  verifiedCredentialsMs: 600_000,
  /** Wrong passwords of one client for one way: so many at once, then one each time that this passes. */
  credentialFailuresBurst: 10,
  credentialFailureIntervalMs: 10_000,
  /**
   * A request that must not be sent twice goes over a connection that answered no longer ago than this: hardly a server ends one so soon
   * (gunicorn 2 s, Node and Apache 5 s, nginx 75 s).
   */
  unsafeIdleMs: 1_000,
  /** One more endpoint may be tried after the first. */
  attemptsMax: 2,
  /**
   * What clients do wrong over HTTP/2, in points of all their connections together: a connection that had to be ended, and a quarter of the
   * glitches that would end one. Above the maximum the client is banned for a minute, then for twice as long each time, but never for long: any
   * page can make its visitors' browsers cancel requests without end, and they may share their address with others.
   */
  offencePointsMax: 100,
  offencePointMs: 6_000,
  offencePointsOfConnection: 5,
  offencePointsOfGlitches: 1,
  /**
   * Glitches of all connections of a client together, however short and slow each is: in quarters of what is borne at once of one connection, one
   * is forgiven each time that this passes. That is fifty times what one connection may do for ever, because an office may share an address. Each
   * one above the maximum is an offence.
   */
  clientGlitchQuartersMax: 100,
  clientGlitchQuarterMs: 50,
  /** Of a connection that is over: with less than this its opening has cost more. */
  glitchQuartersTold: 0.25,
  offenceBanMs: 60_000,
  offenceBanMsMax: 15 * 60_000,
  threadsMax: 64,
  /** Of the node's places for requests, what customers share freely; above that each has its fair share, found anew after this time. */
  shareFreePart: 0.75,
  shareLevelMs: 50,
  /** Unit in which memory is counted that is held for somebody: what is less of one connection or request is not counted. */
  heldBlockBytes: 4 * 1024,
  /**
   * A thread's time: what is done between two looks at all sockets while some wait for their turn; the part of its time that a thread may work
   * before it is short of it; who had none for so long is not counted among those who share it; and what waited longer is refused.
   */
  timeSliceMs: 0.04,
  timeFreePart: 0.5,
  timeActiveMs: 1_000,
  timeWaitMsMax: 1_000,
  /** A connection is not read before its turn, where so many of its customer wait already, and so many of its requests in a row were for that one. */
  restWaitersMin: 16,
  restRequestsMin: 8,
  /** What an event takes outside of what its handler can measure: the kernel's and Node's part of a read, and of each byte of it. */
  eventMs: 0.003,
  eventByteMs: 5e-7,
  /** What opening and closing a connection takes, and a TLS handshake, also one that resumes a session. */
  connectionMs: 0.03,
  handshakeMs: 0.4,
  resumptionMs: 0.15,
  /** With more, the bans that would end first go. */
  bansMax: 65_536,
  banReasonLengthMax: 120,
  banMsMax: 366 * 24 * 3_600_000,
  /** As many bans as there can be, each with the longest reason that there can be. */
  banFileBytesMax: 64 * 1024 * 1024,
  /** Keys of limits of the fleet that are taken of between two messages to its store. What is beyond is not told to it. */
  fleetLedgerKeysMax: 16_384,
  /** What `torwart` asks the daemon over the admin socket. */
  adminRequestBytesMax: 16 * 1024,
  /** A User-Agent field, or a request line's part, that a connection remembers for its next log line. */
  memoFragmentLengthMax: 512,
  wheelTickMs: 250,
  loggedValueBytesMax: 2 * 1024,
  /** HTTP/2. Streams and windows are those of Envoy's advice for edge proxies, but for the larger window of a stream: uploads need it. */
  h2StreamsMax: 100,
  h2StreamWindowBytes: 256 * 1024,
  h2ConnectionWindowBytes: 1024 * 1024,
  h2FrameBytesMax: 16 * 1024,
  /** RFC 7541's default, in both directions: then no change of it is ever in flight. */
  h2HeaderTableBytes: 4 * 1024,
  /** A field block as it is received, and the frames after its first. */
  h2HeaderBlockBytesMax: 32 * 1024,
  h2ContinuationsMax: 8,
  /** Decoded fields with RFC 7541's 32 bytes for each. Above `requestHeadBytesMax` a request is refused, above this the connection. */
  h2HeaderListBytesMax: 64 * 1024,
  h2SettingsPerFrameMax: 32,
  h2SettingsAckMs: 10_000,
  /** A stream that has more than this waiting for its client is backed up; and all are when together they have more than that. */
  h2StreamQueueBytesMax: 16 * 1024,
  h2SessionQueueBytesMax: 1024 * 1024,
  /** What is read of a connection before the share of its customer is looked at again: so much, or so many parts of what has come. */
  h2TurnBytes: 1024,
  h2TurnPiecesMax: 16,
  /** Buffers for what waits, and how many of them a thread keeps. */
  h2ContentBufferBytes: 64 * 1024,
  h2IdleContentBuffersMax: 128,
  /** Frames that are ready to leave. Then no more DATA is made. */
  h2OutputBytesMax: 256 * 1024,
  /** What answers to frames may add to that before the connection is not read: a client that takes nothing can still cancel what it asked for. */
  h2AnswerBytesMax: 64 * 1024,
  /** What a client must let out in the time that it may leave a response unread. */
  h2TrickleBytesMin: 1024,
  /** Priorities of streams that do not exist yet (RFC 9218 §7.1). */
  h2EarlyPrioritiesMax: 100,
  /** Streams that were reset here: what their client had sent before it knew is no offence. */
  h2ResetsRemembered: 128,
  /** HTTP/2 to applications: streams of one connection, where the server does not say less. */
  h2UpstreamStreamsMax: 100,
  /** Of a response, on its way to a client that does not read; and of the few that may have more where there are few: one read of HTTP/1.1. */
  h2UpstreamWindowBytes: 24 * 1024,
  h2UpstreamWideWindowBytes: 128 * 1024,
  h2UpstreamWideStreamsMax: 4,
  /** For a frame or a block of fields that has begun. */
  h2UpstreamFrameMs: 30_000,
  /** A connection on which a request waited in vain, and nothing came for so long, may be dead. */
  h2UpstreamSilenceMs: 5_000,
  /** After so many resets of ours a connection takes no more requests: servers end those with many (CVE-2023-44487), and all that is on them. */
  h2UpstreamResetsMax: 200,
  /** How often a request that has not begun may be moved to another connection. */
  h2UpstreamMovesMax: 2,
  /** Between the first GOAWAY and the second, where the client does not answer the ping between them. */
  h2DrainGraceMs: 2_000,
} as const;

/**
 * What no honest client does often, counted for each HTTP/2 connection: `burst` at once, and `perSecond` over time. The limits of known
 * implementations are wider (nghttp2: 1,000 resets and 33 a second; Envoy: 100 changes of priority a stream, 10 of windows a DATA frame).
 */
export const GLITCH_LIMITS = {
  reset: {burst: 200, perSecond: 20},
  provoked: {burst: 50, perSecond: 1},
  settings: {burst: 20, perSecond: 1},
  ping: {burst: 50, perSecond: 5},
  empty: {burst: 100, perSecond: 10},
  priority: {burst: 500, perSecond: 50},
  window: {burst: 1000, perSecond: 200},
  unknown: {burst: 100, perSecond: 10},
  /** A window of a stream holds 256 KiB, which may be on its way in frames of any size when the stream is reset. */
  stray: {burst: 1000, perSecond: 100},
} as const satisfies Record<string, {readonly burst: number; readonly perSecond: number}>;

function assertRelation(holds: boolean, text: string): void {
  if (!holds) throw new Error(`limits contradict each other: ${text}`);
}

assertRelation(LIMITS.requestTargetBytesMax < LIMITS.requestHeadBytesMax, 'a target fits into a head');
assertRelation(LIMITS.pipelineBytesMax >= LIMITS.requestHeadBytesMax, 'a pipelined head fits into the buffer');
assertRelation(LIMITS.chunkExtensionBytesMax <= LIMITS.chunkExtensionBytesTotalMax, 'one extension fits into the total');
assertRelation(LIMITS.banFileBytesMax >= LIMITS.bansMax * (512 + 4 * LIMITS.banReasonLengthMax), 'every list of bans fits into its file');
assertRelation(LIMITS.tlsEmptyBytesMax > LIMITS.tlsRecordBytesMax, 'a record that has not come to its end is no flood');
assertRelation(LIMITS.attemptsMax >= 1, 'a request is tried at least once');
assertRelation(LIMITS.h2StreamWindowBytes < LIMITS.h2ConnectionWindowBytes, 'one upload never fills the window of its connection');
assertRelation(LIMITS.h2HeaderBlockBytesMax >= LIMITS.requestHeadBytesMax, 'a head fits into its block without compression');
assertRelation(LIMITS.h2HeaderListBytesMax >= LIMITS.requestHeadBytesMax + 32 * LIMITS.requestFieldsMax, 'a head that is not refused is no bomb');
assertRelation(LIMITS.h2HeaderBlockBytesMax >= LIMITS.responseHeadBytesMax, 'a response fits into its block without compression');
assertRelation(LIMITS.h2HeaderListBytesMax >= LIMITS.responseHeadBytesMax + 32 * LIMITS.responseFieldsMax, 'a response that is not refused is no bomb');
assertRelation(
  LIMITS.h2SessionQueueBytesMax + LIMITS.h2StreamsMax * LIMITS.h2UpstreamWindowBytes + LIMITS.h2UpstreamWideStreamsMax * LIMITS.h2UpstreamWideWindowBytes < 4 * 1024 * 1024,
  'a client that reads nothing costs little, whatever its applications have been allowed to send',
);
assertRelation(LIMITS.h2OutputBytesMax + LIMITS.h2AnswerBytesMax + LIMITS.h2SessionQueueBytesMax <= 2 * 1024 * 1024, 'a client that reads nothing costs little');
