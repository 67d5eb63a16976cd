/** The one kind of WebSocket message that the bench sends: final, binary, of 126 to 65,535 bytes (RFC 6455 §5.2). */
import {createHash} from 'node:crypto';

const FINAL_BINARY = 0x82, LENGTH_OF_16_BITS = 126, MASKED = 0x80;
const MASK_BYTES = 4;
/** Head of a frame from a server; a client's has the mask behind it. */
export const SERVER_HEAD_BYTES = 4;
export const CLIENT_HEAD_BYTES = SERVER_HEAD_BYTES + MASK_BYTES;

/** RFC 6455 §4.2.2 */
export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

export function frameFromClient(payload: Buffer, mask: Buffer): Buffer {
  const frame = Buffer.alloc(CLIENT_HEAD_BYTES + payload.length);
  frame[0] = FINAL_BINARY;
  frame[1] = MASKED | LENGTH_OF_16_BITS;
  frame.writeUInt16BE(payload.length, 2);
  mask.copy(frame, SERVER_HEAD_BYTES);
  for (let i = 0; i < payload.length; i++) frame[CLIENT_HEAD_BYTES + i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return frame;
}

export function frameFromServer(payload: Buffer): Buffer {
  const frame = Buffer.alloc(SERVER_HEAD_BYTES + payload.length);
  frame[0] = FINAL_BINARY;
  frame[1] = LENGTH_OF_16_BITS;
  frame.writeUInt16BE(payload.length, 2);
  payload.copy(frame, SERVER_HEAD_BYTES);
  return frame;
}

/** Bytes of the client's frame that begins at `start`; 0: not all of it is here. Throws for any other kind of frame. */
export function clientFrameBytes(bytes: Buffer, start: number): number {
  if (bytes.length - start < CLIENT_HEAD_BYTES) return 0;
  if (bytes[start] !== FINAL_BINARY || bytes[start + 1] !== (MASKED | LENGTH_OF_16_BITS)) throw new Error('not a frame of the bench');
  const length = CLIENT_HEAD_BYTES + bytes.readUInt16BE(start + 2);
  return bytes.length - start < length ? 0 : length;
}

/** The payload of the client's frame in `bytes[start, end)`, as a server's frame. */
export function echoFrame(bytes: Buffer, start: number, end: number): Buffer {
  const mask = start + SERVER_HEAD_BYTES, first = start + CLIENT_HEAD_BYTES, payload = Buffer.allocUnsafe(end - first);
  for (let i = 0; i < payload.length; i++) payload[i] = (bytes[first + i] as number) ^ (bytes[mask + (i & 3)] as number);
  return frameFromServer(payload);
}
