/** Frames by hand, as a client writes them: nothing here comes from the codec but its numbers. */
import {ERROR, FLAG, FRAME, PREFACE, SETTING} from '#src/http2/frames.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

export const REQUEST: Fields = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'a.example'], [':path', '/']];
export const POST: Fields = [[':method', 'POST'], ...REQUEST.slice(1)];

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

function integer(value: number, mask: number, bits: number): Buffer {
  if (value < mask) return Buffer.of(bits | value);
  const bytes = [bits | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

function text(latin1: string): Buffer {
  return Buffer.concat([integer(latin1.length, 0x7f, 0), Buffer.from(latin1, 'latin1')]);
}

/** Literals without indexing and without Huffman's code (RFC 7541 §6.2.2). */
export function literals(fields: Fields): Buffer {
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])));
}

/** Literals that enter the table (RFC 7541 §6.2.1). */
export function indexedLiterals(fields: Fields): Buffer {
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0x40), text(name), text(value)])));
}

export function settings(values: Partial<Record<keyof typeof SETTING, number>> = {}): Buffer {
  const entries = Object.entries(values).map(([name, value]) => {
    const bytes = Buffer.alloc(6);
    bytes.writeUInt16BE(SETTING[name as keyof typeof SETTING]);
    bytes.writeUInt32BE(value, 2);
    return bytes;
  });
  return frame(FRAME.SETTINGS, 0, 0, Buffer.concat(entries));
}

export const SETTINGS_ACK = frame(FRAME.SETTINGS, FLAG.ACK, 0);

/** What every client begins with, up to and with its answer to our settings. */
export function opening(values: Partial<Record<keyof typeof SETTING, number>> = {}): Buffer {
  return Buffer.concat([PREFACE, settings(values), SETTINGS_ACK]);
}

export function request(streamId: number, fields: Fields = REQUEST): Buffer {
  return frame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, streamId, literals(fields));
}

/** A request of which content is to follow. */
export function upload(streamId: number, fields: Fields = POST): Buffer {
  return frame(FRAME.HEADERS, FLAG.END_HEADERS, streamId, literals(fields));
}

export function data(streamId: number, content: string | Uint8Array, flags = 0): Buffer {
  return frame(FRAME.DATA, flags, streamId, typeof content === 'string' ? Buffer.from(content, 'latin1') : content);
}

export function reset(streamId: number, code: number = ERROR.CANCEL): Buffer {
  return frame(FRAME.RST_STREAM, 0, streamId, uint32(code));
}

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(FRAME.WINDOW_UPDATE, 0, streamId, uint32(increment));
}

export function ping(flags = 0, payload = '12345678'): Buffer {
  return frame(FRAME.PING, flags, 0, Buffer.from(payload, 'latin1'));
}

export function priorityUpdate(streamId: number, value: string): Buffer {
  return frame(FRAME.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(streamId), Buffer.from(value, 'latin1')]));
}
