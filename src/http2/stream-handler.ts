/** What a session of either side tells of its streams. Every call may answer, reset or pause the stream at once. */
import type {FaultCode} from '#src/core/faults.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ErrorCode} from '#src/http2/frames.ts';
import type {Stream} from '#src/http2/stream.ts';

/** `Context` is what the handler keeps with a stream (`stream.context`). */
export interface StreamHandler<Context> {
  /** Content. The bytes are those that the session has received, and do not change if they do not. */
  onData(stream: Stream<Context>, bytes: Buffer, start: number, end: number): void;
  /** The content is complete. @param trailers lent like a head; null where there are none */
  onEnd(stream: Stream<Context>, trailers: FieldBlock | null): void;
  /** The stream is over before its time: reset by the peer or because of it, or gone with its connection. `code` may be any number. */
  onReset(stream: Stream<Context>, code: number, fault: FaultCode): void;
  /** Stop producing, as if `stream.isBackedUp` had been true after a write: other streams have too much waiting. */
  onBackedUp(stream: Stream<Context>): void;
  /** Go on producing. */
  onDrain(stream: Stream<Context>): void;
  /** The connection has failed. GOAWAY is in the output; every stream has been told. */
  onConnectionError(code: ErrorCode, fault: FaultCode): void;
}
