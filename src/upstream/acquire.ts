/** The way of one request to an endpoint, in the protocol of its pool. */
import type {FaultCode} from '#src/core/faults.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {Http2Request} from '#src/upstream/http2-request.ts';
import type {Upstream} from '#src/upstream/upstream.ts';
import {UpstreamConnection} from '#src/upstream/upstream-connection.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';

/** @param mayReuse false: over a new connection of HTTP/1.1 (one of HTTP/2 that has ended is not found any more) */
export function acquireStream(upstream: Upstream, endpoint: UpstreamEndpoint, mayReuse: boolean): UpstreamStream | FaultCode {
  return endpoint.pool.protocol === 'h1' ? UpstreamConnection.acquire(upstream, endpoint, mayReuse) : Http2Request.acquire(upstream, endpoint);
}
