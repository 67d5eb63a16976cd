/** What a session has sent: cut into frames, and described in a line each. */
import {DynamicTable} from '#src/http2/dynamic-table.ts';
import {ERROR, FLAG, FRAME, PREFACE} from '#src/http2/frames.ts';
import {HpackDecoder, makeHuffmanScratch} from '#src/http2/hpack-decoder.ts';

export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export class SentFrames {
  readonly #decoder = new HpackDecoder(makeHuffmanScratch(), new DynamicTable());
  #unread = Buffer.alloc(0);
  #skipped = 0;

  /** A client begins with 24 bytes that are no frame. */
  skipPreface(): void {
    this.#skipped = PREFACE.length;
  }

  read(bytes: Buffer): SentFrame[] {
    this.#unread = Buffer.concat([this.#unread, bytes.subarray(this.#skipped)]);
    this.#skipped = 0;
    const frames: SentFrame[] = [];
    let at = 0;
    while (this.#unread.length - at >= 9) {
      const length = this.#unread.readUIntBE(at, 3);
      frames.push({
        type: this.#unread[at + 3] as number,
        flags: this.#unread[at + 4] as number,
        streamId: this.#unread.readUInt32BE(at + 5),
        payload: this.#unread.subarray(at + 9, at + 9 + length),
      });
      at += 9 + length;
    }
    this.#unread = this.#unread.subarray(at);
    return frames;
  }

  /** Without answers to settings. */
  describe(frames: readonly SentFrame[]): string[] {
    return frames.filter(({type, flags}) => type !== FRAME.SETTINGS || (flags & FLAG.ACK) === 0).map((sent) => this.#describe(sent));
  }

  #describe({type, flags, streamId, payload}: SentFrame): string {
    const end = (flags & FLAG.END_STREAM) !== 0 ? ' end' : '';
    switch (type) {
      case FRAME.HEADERS: return `> HEADERS ${streamId}${end} ${this.#decodeFields(payload).join(' | ')}`;
      case FRAME.DATA: return `> DATA ${streamId}${end} "${payload.toString('latin1')}"`;
      case FRAME.RST_STREAM: return `> RST_STREAM ${streamId} ${errorName(payload.readUInt32BE(0))}`;
      case FRAME.GOAWAY: return `> GOAWAY ${payload.readUInt32BE(0)} ${errorName(payload.readUInt32BE(4))}`;
      case FRAME.WINDOW_UPDATE: return `> WINDOW_UPDATE ${streamId} ${payload.readUInt32BE(0)}`;
      case FRAME.PING: return `> PING ${(flags & FLAG.ACK) !== 0 ? 'ack ' : ''}"${payload.toString('latin1')}"`;
      default: return `> frame ${type} ${flags} ${streamId} ${payload.toString('hex')}`;
    }
  }

  #decodeFields(block: Buffer): string[] {
    const fields: string[] = [];
    const result = this.#decoder.decode(block, 0, block.length, {add: ({name, value}) => fields.push(`${name.text}: ${value}`) > 0});
    if (result !== 'complete') throw new Error(`a block that was sent is ${result}`);
    return fields;
  }
}

export function errorName(code: number): string {
  return Object.entries(ERROR).find(([, value]) => value === code)?.[0] ?? String(code);
}

/** What frames of DATA hold, in their order. */
export function contentOf(frames: readonly SentFrame[]): {streamId: number; length: number; isEnd: boolean}[] {
  return frames.filter(({type}) => type === FRAME.DATA)
    .map(({streamId, payload, flags}) => ({streamId, length: payload.length, isEnd: (flags & FLAG.END_STREAM) !== 0}));
}
