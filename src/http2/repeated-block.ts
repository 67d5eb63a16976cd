/**
 * The last block of fields that an encoder wrote, for a connection that is sent the same head again and again: then its bytes are copied,
 * without a look at each line. They hold as long as the encoder's table does not change.
 */
import {flattenText} from '#src/core/text.ts';
import type {OutputBuffer} from '#src/http2/output-buffer.ts';

/** What idle connections keep is small: heads that are longer repeat more rarely. */
const BLOCK_BYTES_MAX = 128;
const LINES_LENGTH_MAX = 1024;
/** None: every status is another one. */
const NOTHING = -1;

export class RepeatedBlock {
  #status = NOTHING;
  #lines = '';
  #bytes: Uint8Array | null = null;
  #length = 0;

  /** Writes the block where it is the one of these lines. False, and nothing done, where it is another. */
  tryWrite(out: OutputBuffer, status: number, lines: string): boolean {
    const bytes = this.#bytes;
    if (bytes === null || status !== this.#status || lines !== this.#lines) return false;
    for (let i = 0; i < this.#length; i++) out.bytes[out.at + i] = bytes[i] as number;
    out.at += this.#length;
    return true;
  }

  /**
   * The block from `start` to the end of `out` has been written, and the next one of the same lines would not be shorter. Its lines are kept from
   * the second time on: most never come again, and to keep a text it has to be copied, because a slice keeps the whole head that it is of.
   */
  remember({bytes: written, at: end}: OutputBuffer, start: number, status: number, lines: string): void {
    const length = end - start;
    this.#status = NOTHING;
    if (length > BLOCK_BYTES_MAX || lines.length > LINES_LENGTH_MAX) return;
    const bytes = this.#bytes ??= new Uint8Array(BLOCK_BYTES_MAX);
    let isSame = length === this.#length;
    for (let i = 0; i < length; i++) {
      const byte = written[start + i] as number;
      isSame &&= bytes[i] === byte;
      bytes[i] = byte;
    }
    this.#length = length;
    if (!isSame) return;
    this.#status = status;
    this.#lines = flattenText(lines);
  }

  /** The table has changed. */
  forget(): void {
    this.#status = NOTHING;
  }
}
