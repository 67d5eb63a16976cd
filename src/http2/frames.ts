/** Numbers of the wire format (RFC 9113 §4, §6, §7; RFC 9218 §7), and what Torwart says with them of itself. */
import {LIMITS} from '#src/core/limits.ts';

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Length in 24 bits, type, flags, stream in 31 bits. */
export const FRAME_HEADER_BYTES = 9;

export const FRAME = {
  DATA: 0x0, HEADERS: 0x1, PRIORITY: 0x2, RST_STREAM: 0x3, SETTINGS: 0x4, PUSH_PROMISE: 0x5, PING: 0x6, GOAWAY: 0x7, WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9, PRIORITY_UPDATE: 0x10,
} as const;

/** Frames that belong to the connection, and those that belong to a stream. WINDOW_UPDATE may belong to either, CONTINUATION to a block. */
export const CONNECTION_FRAMES: ReadonlySet<number> = new Set([FRAME.SETTINGS, FRAME.PING, FRAME.GOAWAY, FRAME.PRIORITY_UPDATE]);
export const STREAM_FRAMES: ReadonlySet<number> = new Set([FRAME.DATA, FRAME.HEADERS, FRAME.PRIORITY, FRAME.RST_STREAM]);

export const FLAG = {ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20} as const;

export const SETTING = {
  HEADER_TABLE_SIZE: 0x1, ENABLE_PUSH: 0x2, MAX_CONCURRENT_STREAMS: 0x3, INITIAL_WINDOW_SIZE: 0x4, MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6, ENABLE_CONNECT_PROTOCOL: 0x8, NO_RFC7540_PRIORITIES: 0x9,
} as const;

/** The largest frame and the size of the table are the defaults, and need no words. */
export const OWN_SETTINGS: readonly (readonly [number, number])[] = [
  [SETTING.MAX_CONCURRENT_STREAMS, LIMITS.h2StreamsMax],
  [SETTING.INITIAL_WINDOW_SIZE, LIMITS.h2StreamWindowBytes],
  [SETTING.MAX_HEADER_LIST_SIZE, LIMITS.requestHeadBytesMax],
  // WebSockets (RFC 8441).
  [SETTING.ENABLE_CONNECT_PROTOCOL, 1],
  [SETTING.NO_RFC7540_PRIORITIES, 1],
];

export const ERROR = {
  NO_ERROR: 0x0, PROTOCOL_ERROR: 0x1, INTERNAL_ERROR: 0x2, FLOW_CONTROL_ERROR: 0x3, SETTINGS_TIMEOUT: 0x4, STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6, REFUSED_STREAM: 0x7, CANCEL: 0x8, COMPRESSION_ERROR: 0x9, CONNECT_ERROR: 0xa, ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc, HTTP_1_1_REQUIRED: 0xd,
} as const;

/** A code that Torwart sends. What a peer sends may be any number of 32 bits. */
export type ErrorCode = (typeof ERROR)[keyof typeof ERROR];

/** RFC 9113 §6.9.1, §6.9.2. */
export const WINDOW_BYTES_DEFAULT = 65_535;
export const WINDOW_BYTES_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;
/** The least of what a peer may set as its largest frame, and the default (RFC 9113 §6.5.2). */
export const FRAME_BYTES_DEFAULT = 16_384;
export const FRAME_BYTES_MAX = 0xff_ffff;

export function readUint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

/** The first bit is reserved and ignored (RFC 9113 §4.1). */
export function readUint31(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) & 0x7f) << 24) | readUint24(bytes, at + 1);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | readUint24(bytes, at + 1)) >>> 0;
}
