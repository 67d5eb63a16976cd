/** The way of a request to an endpoint, in the protocol that its servers speak. */
import type {FaultCode} from '#src/core/faults.ts';
import type {UpstreamEndpoint} from '#src/upstream/endpoint.ts';
import {Http2Request} from '#src/upstream/http2-request.ts';
import {UpstreamConnection} from '#src/upstream/upstream-connection.ts';
import type {UpstreamStream} from '#src/upstream/upstream-stream.ts';
import type {Upstream} from '#src/upstream/upstream.ts';

/** @param idleMsMax of HTTP/1.1: how long a connection may have been idle; a server of HTTP/2 says which requests it has not begun */
export function acquireStream(upstream: Upstream, endpoint: UpstreamEndpoint, idleMsMax: number): UpstreamStream | FaultCode {
  if (endpoint.pool.protocol === 'http1') return UpstreamConnection.acquire(upstream, endpoint, idleMsMax);
  return Http2Request.acquire(upstream, endpoint);
}
