/**
 * The seam between a client's connection and what is done with its requests. An HTTP/1.1 connection and an HTTP/2 stream are both a
 * `Downstream`; the exchange is the `RequestHandler` of either.
 */
import type {TimeAccount} from '#src/balance/time-account.ts';
import type {FaultCode} from '#src/core/faults.ts';
import type {ClientPatience} from '#src/core/patience.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {LineMemo} from '#src/observe/line-memo.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {ListenerSnapshot} from '#src/config/snapshot.ts';
import type {ConnectionPlace} from '#src/edge/connection-place.ts';
import type {Turn} from '#src/edge/turn.ts';

/** What the TLS handshake of a connection has settled. */
export interface TlsFacts {
  readonly serverName: string;
  /**
   * The customer whose certificate was shown: the only one whose hosts this connection may ask for. Empty where nobody can say, until
   * the first request's host decides it.
   */
  customer: string;
  /** `TLSv1.3` */
  readonly version: string;
  /** OpenSSL's or RFC's name. */
  readonly cipher: string;
}

/** What is known of a connection when it begins to carry requests. */
export interface ConnectionFacts {
  readonly peer: ClientIdentity;
  /** That it was accepted under. */
  readonly listener: ListenerSnapshot;
  /** Null in cleartext. */
  readonly tls: TlsFacts | null;
  readonly place: ConnectionPlace;
  /** Whose time it takes, as far as that is known. */
  readonly time: TimeAccount;
}

/**
 * What was worked out for the last request of a connection, for the next one: nearly always it is from the same client for the same
 * host. The handler's own; it is here because it lives as long as the connection.
 */
export interface ConnectionMemo {
  /** Whose the connection is. */
  readonly place: ConnectionPlace;
  /** Whose time it takes. */
  time: TimeAccount;
  /** How many requests in a row were for the same customer as the one before. */
  requestsInARow: number;
  /** Null until something had to wait for its customer's turn. */
  turn: Turn | null;
  /** What is read from it has waited so long for its turn that its requests are refused. */
  isLate: boolean;
  /** The last request's Host field. Like all texts here it is a copy, or the configuration's own: a slice would keep the whole head. */
  host: string;
  /** What it says, see `Authority`; empty where it is invalid. */
  hostName: string;
  authority: string;
  /** The last two requests were for the same host: what is kept for it will be used. */
  isHostRepeated: boolean;
  /** The Host and forwarded fields for the upstream, once a host is repeated; else empty. */
  forwardedLines: string;
  /** Of the access log. */
  readonly line: LineMemo;
}

export function createMemo(place: ConnectionPlace, time: TimeAccount): ConnectionMemo {
  return {place, time, requestsInARow: 0, turn: null, isLate: false, host: '', hostName: '', authority: '', isHostRepeated: false, forwardedLines: '', line: new LineMemo()};
}

/** What a handler knows of its client, and can do to it. */
export interface Downstream {
  readonly peer: ClientIdentity;
  readonly listener: ListenerSnapshot;
  /** Null in cleartext. */
  readonly tls: TlsFacts | null;
  /** `HTTP/1.1` */
  readonly protocol: string;
  readonly memo: ConnectionMemo;
  /** Bytes of this request and its response that went over the connection, framing included. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** The client reads more slowly than the response comes in: stop producing until `onDownstreamDrain`. */
  readonly isBackedUp: boolean;
  /** Some of the response may have left: it can no longer be replaced by another one. */
  readonly isResponseCommitted: boolean;

  /** How long this request's client may take for its body, and for reading the response. */
  setPatience(patience: ClientPatience): void;
  /** 100 (Continue): the body may come. */
  sendContinue(): void;
  /** An interim response, without its final empty line. */
  sendInterim(status: number, reason: string, fieldLines: string): void;
  /**
   * Begins the final response. `bodyLength` is a length or a `BODY_…` value; the framing towards the client is the downstream's own.
   * @param announcedLength what Content-Length says: a length (of what a GET would bring, for a HEAD), or an `ANNOUNCE_…` value
   * @param isReusable false: the connection ends after this response
   */
  beginResponse(status: number, reason: string, fieldLines: string, bodyLength: number, announcedLength: number, isReusable: boolean): void;
  /** Content of the response. The bytes are lent: they are copied where they cannot leave at once. */
  writeBody(bytes: Buffer, start: number, end: number): void;
  writeBodyText(latin1: string): void;
  /** Hands over what has been collected. Call it at the end of every event that wrote something. */
  flush(): void;
  /** The response is complete and leaves. */
  endResponse(trailers?: string): void;
  /** The last call of an exchange: the connection goes on with the next request, which may begin before this returns. */
  completeExchange(): void;
  /** The connection ends when what is under way on it is done. */
  dismiss(): void;
  /** Drops a response of which nothing has left. */
  abandonResponse(): void;
  /**
   * Accepts the request's upgrade: what carried requests carries bytes both ways from now on, for another handler, written with
   * `writeBody` and ended by `endResponse` and `completeExchange`. False, and nothing done, where the client has not waited for the answer.
   * @param fieldLines without those of the upgrade itself
   */
  beginTunnel(fieldLines: string, handler: ContentHandler): boolean;
  /** Ends the connection at once, so that a response cannot be taken for complete. The handler hears no more of it. */
  abort(): void;
  pauseRequestBody(): void;
  resumeRequestBody(): void;
}

/** Takes what a client sends behind a head, and hears how it fares with what it is sent. */
export interface ContentHandler {
  /** The bytes are lent. */
  onRequestBody(bytes: Buffer, start: number, end: number): void;
  /** @param trailers lent like a head; null where there are none */
  onRequestEnd(trailers: FieldBlock | null): void;
  /** The body was invalid or late. */
  onRequestFault(fault: FaultCode): void;
  /** `isBackedUp` has become true without a write: other requests of the connection have too much waiting. */
  onDownstreamBackedUp(): void;
  onDownstreamDrain(): void;
  /** The client is gone; `fault` says how. */
  onDownstreamClosed(fault: FaultCode): void;
}

/** Takes one request at a time. */
export interface RequestHandler extends ContentHandler {
  /** The head is lent: whatever is needed later is taken out before returning. A body follows where `head.bodyLength` is not 0. */
  onRequest(head: RequestHead): void;
  /** The bytes could not be read as a request; nothing more will come. */
  onInvalidRequest(fault: FaultCode): void;
}
