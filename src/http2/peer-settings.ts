/** What the peer has set for what is sent to it (RFC 9113 §6.5). */
import {LIMITS} from '#src/core/limits.ts';
import {ERROR, FRAME_BYTES_DEFAULT, FRAME_BYTES_MAX, SETTING, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX, readUint32, type ErrorCode} from '#src/http2/frames.ts';

const SETTING_BYTES = 6;

export class PeerSettings {
  headerTableBytes: number = LIMITS.h2HeaderTableBytes;
  streamWindowBytes = WINDOW_BYTES_DEFAULT;
  frameBytesMax = FRAME_BYTES_DEFAULT;
  /** Streams at once that a server takes. */
  streamsMax = Number.POSITIVE_INFINITY;
  isPushEnabled = false;

  /** Reads one frame's payload. The error of the connection, or null where it is valid. */
  read(bytes: Uint8Array, start: number, end: number): ErrorCode | null {
    if ((end - start) % SETTING_BYTES !== 0) return ERROR.FRAME_SIZE_ERROR;
    if (end - start > LIMITS.h2SettingsPerFrameMax * SETTING_BYTES) return ERROR.ENHANCE_YOUR_CALM;
    for (let at = start; at < end; at += SETTING_BYTES) {
      const error = this.#set(((bytes[at] as number) << 8) | (bytes[at + 1] as number), readUint32(bytes, at + 2));
      if (error !== null) return error;
    }
    return null;
  }

  #set(identifier: number, value: number): ErrorCode | null {
    switch (identifier) {
      case SETTING.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        return null;
      case SETTING.ENABLE_PUSH:
        this.isPushEnabled = value === 1;
        return value <= 1 ? null : ERROR.PROTOCOL_ERROR;
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.streamsMax = value;
        return null;
      case SETTING.ENABLE_CONNECT_PROTOCOL:
      case SETTING.NO_RFC7540_PRIORITIES:
        return value <= 1 ? null : ERROR.PROTOCOL_ERROR;
      case SETTING.INITIAL_WINDOW_SIZE:
        this.streamWindowBytes = value;
        return value <= WINDOW_BYTES_MAX ? null : ERROR.FLOW_CONTROL_ERROR;
      case SETTING.MAX_FRAME_SIZE:
        this.frameBytesMax = value;
        return value >= FRAME_BYTES_DEFAULT && value <= FRAME_BYTES_MAX ? null : ERROR.PROTOCOL_ERROR;
      default:
        // Unknown ones are ignored (RFC 9113 §6.5.2). Nothing is pushed, so no stream of ours needs a limit; a response's fields are what they are.
        return null;
    }
  }
}
