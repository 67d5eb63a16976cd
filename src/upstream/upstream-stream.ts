/** The seam between a request and the way that it takes to an endpoint. What frames its content there is no matter of the request's. */
import type {RouteTimeoutsSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {giveUp, type Losable} from '#src/core/give-up.ts';
import type {Piece} from '#src/core/piece-list.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';

/** Takes what follows the head of a response. `lose`: it has failed in what it did. After `onResponseEnd` or `onUpstreamFault` the stream calls nothing more. */
export interface ResponseBodyHandler extends Losable {
  onResponseBody(bytes: Buffer, start: number, end: number): void;
  /** @param trailers lent like a head; null where there are none */
  onResponseEnd(trailers: FieldBlock | null): void;
  /** Everything that one read brought has been handed over, and there may be more to come. */
  onUpstreamReadEnd(): void;
  onUpstreamDrain(): void;
  onUpstreamFault(fault: FaultCode): void;
}

/**
 * The last word to a handler. The stream has let go of it already, so after an exception nobody else would end what its client waits for.
 * @param fault null: the response is complete
 */
export function tellEnd(handler: ResponseBodyHandler | null, fault: FaultCode | null, reportBug: (error: unknown) => void, trailers: FieldBlock | null = null): void {
  try {
    if (fault === null) handler?.onResponseEnd(trailers);
    else handler?.onUpstreamFault(fault);
  } catch (error) {
    if (handler !== null) giveUp(handler, error, reportBug);
  }
}

/** Takes the response of one request. */
export interface ResponseHandler extends ResponseBodyHandler {
  onUpstreamConnected(): void;
  /** An interim response that may be forwarded (103). The head is lent. */
  onInterimResponse(head: ResponseHead): void;
  /** The final response; its body follows where `head.bodyLength` is not 0. The head is lent. */
  onResponse(head: ResponseHead): void;
}

/** Takes the answer of a request that asks for another protocol. */
export interface UpgradeHandler {
  /** 101. Returns who takes the bytes from now on; null where the request was given up. The head is lent. */
  onUpgrade(head: ResponseHead, stream: TunnelStream): ResponseBodyHandler | null;
}

/** A request that says nothing about a body, and has none. */
export const NO_BODY = -2;

/** Carries one request at a time. */
export interface UpstreamStream {
  readonly isConnected: boolean;
  /** The endpoint may have begun to work on the request. */
  readonly isRequestBegun: boolean;
  /** The connection has answered before, and may have ended for idleness just when this request was on its way. */
  readonly isReused: boolean;
  /** Of the current response. */
  readonly bytesReceived: number;
  /** The endpoint takes less than it is given: stop producing until `onUpstreamDrain`. */
  readonly isBackedUp: boolean;
  /** Of the request, what the endpoint has not taken yet. */
  readonly backlogBytes: number;

  /**
   * Begins a request: `sendRequest` follows, then its content, then `endRequest`.
   * @param upgradeHandler where its head asks for another protocol
   */
  begin(handler: ResponseHandler, method: string, timeouts: RouteTimeoutsSnapshot, upgradeHandler?: UpgradeHandler | null): void;
  /**
   * @param head request line and fields of HTTP/1.1, without framing and empty line
   * @param length of the content: bytes, `BODY_CHUNKED` or `NO_BODY`
   * @param pieces of the content, as far as it is here; they never change
   */
  sendRequest(head: string, length: number, pieces: readonly Piece[]): void;
  /** More of the content. The bytes are lent. */
  sendContent(bytes: Buffer, start: number, end: number): void;
  /** @param trailers lines, or nothing */
  endRequest(trailers?: string): void;
  /** How long the response's body may be silent, where its head says that it is not of the usual kind. */
  setBodyIdle(ms: number): void;
  /** Stops the response, as far as it has not been read yet. */
  pause(): void;
  resume(): void;
  /** The request is given up: the handler hears no more of it. */
  cancel(): void;
}

/** What a stream is after an upgrade: bytes of another protocol, both ways. */
export interface TunnelStream {
  readonly isBackedUp: boolean;
  /** What the endpoint has not taken yet. */
  readonly backlogBytes: number;
  /** The bytes are lent. */
  sendContent(bytes: Buffer, start: number, end: number): void;
  /** The client's side has ended: what was sent leaves first, and the application may still have something to say. */
  endRequest(): void;
  pause(): void;
  resume(): void;
  /** The client is gone: what was sent leaves first, and what still comes is thrown away. The handler hears no more. */
  endTunnel(): void;
}
