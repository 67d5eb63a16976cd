/**
 * The closed table of everything that can go wrong with a connection or a request.
 *
 * The code is the metric label and the log field. One row answers every question that the rest of the program has about a fault:
 * which status the client sees, whose fault it is, whether another endpoint may be tried, whether the client's connection can be
 * used again, and how loud the daemon log is. No other file maps a failure to a status.
 */

export type FaultSide = 'client' | 'upstream' | 'proxy';

export interface FaultRule {
  /** Status sent to the client; 0 where there is nobody to answer, so that the connection just ends. */
  readonly status: number;
  readonly side: FaultSide;
  /** Another attempt may succeed (the replay rule decides whether it is permitted). */
  readonly retryable: boolean;
  /** The client's connection is still in step after the answer. */
  readonly reusable: boolean;
  /** The client is to be rid of: its connection ends with what is under way on it, whatever it speaks. */
  readonly dismissing: boolean;
  /** What the client reads. Never a detail of the configuration or of the upstream. */
  readonly reason: string;
}

function fault(status: number, side: FaultSide, reason: string, traits: {retryable?: boolean; reusable?: boolean; dismissing?: boolean} = {}): FaultRule {
  return {status, side, reason, retryable: traits.retryable ?? false, reusable: traits.reusable ?? false, dismissing: traits.dismissing ?? false};
}

const REUSABLE = {reusable: true} as const;
const RETRYABLE = {reusable: true, retryable: true} as const;

export const FAULTS = {
  // The head of a request (RFC 9112 §2, §3, §5).
  head_invalid: fault(400, 'client', 'The request is malformed.'),
  field_invalid: fault(400, 'client', 'A field of the request is malformed.'),
  head_too_large: fault(431, 'client', 'The fields of the request are too large.'),
  fields_too_many: fault(431, 'client', 'The request has too many fields.'),
  target_too_long: fault(414, 'client', 'The request target is too long.'),
  target_invalid: fault(400, 'client', 'The request target is malformed.'),
  path_ambiguous: fault(400, 'client', 'The path can be read in more than one way.'),
  method_invalid: fault(400, 'client', 'The method is malformed.'),
  method_refused: fault(405, 'client', 'This method is not served here.'),
  version_unsupported: fault(505, 'client', 'This HTTP version is not served here.'),
  framing_invalid: fault(400, 'client', 'The length of the request is ambiguous.'),
  chunk_invalid: fault(400, 'client', 'The chunked body is malformed.'),
  host_invalid: fault(400, 'client', 'The host is missing, repeated or malformed.'),
  connection_option_refused: fault(400, 'client', 'The Connection field names a field that it must not name.'),
  expectation_failed: fault(417, 'client', 'This expectation cannot be met.'),
  grpc_timeout_invalid: fault(400, 'client', 'The timeout of the call is malformed.'),
  // Where a request may go.
  host_unknown: fault(421, 'client', 'This host is not served here.', REUSABLE),
  host_foreign: fault(421, 'client', 'This host is not served on this connection.', REUSABLE),
  route_unknown: fault(404, 'client', 'There is nothing here.', REUSABLE),
  method_not_allowed: fault(405, 'client', 'This method is not allowed here.', REUSABLE),
  access_denied: fault(403, 'client', 'Access is denied.', REUSABLE),
  rule_denied: fault(403, 'client', 'Access is denied.', REUSABLE),
  /** By one customer, or from the node since the connection was accepted: whoever comes back is refused before TLS, or asked to wait again. */
  client_banned_here: fault(403, 'client', 'Access is denied.', {dismissing: true}),
  /** Behind a trusted proxy, whose connection carries the requests of others as well. */
  forwarded_client_banned: fault(403, 'client', 'Access is denied.', REUSABLE),
  credentials_missing: fault(401, 'client', 'A user name and a password are needed.', REUSABLE),
  credentials_wrong: fault(401, 'client', 'The user name or the password is wrong.', REUSABLE),
  credentials_limited: fault(429, 'client', 'Too many failed attempts.', REUSABLE),
  auth_unavailable: fault(503, 'upstream', 'It cannot be found out now who you are.', REUSABLE),
  credentials_unchecked: fault(503, 'proxy', 'The password cannot be checked now.', REUSABLE),
  login_unreadable: fault(400, 'client', 'The login is malformed.'),
  login_limited: fault(429, 'client', 'Too many failed logins.', REUSABLE),
  rate_limited: fault(429, 'client', 'Too many requests.', REUSABLE),
  body_too_large: fault(413, 'client', 'The body is too large.'),
  // WebSockets (RFC 6455).
  websocket_invalid: fault(400, 'client', 'The WebSocket handshake is malformed.'),
  websocket_version: fault(426, 'client', 'This WebSocket version is not served here.', REUSABLE),
  /** Only over HTTP/2, where a request for a WebSocket cannot be answered as another one. */
  websocket_not_served: fault(403, 'client', 'There are no WebSockets here.', REUSABLE),
  websocket_origin_refused: fault(403, 'client', 'WebSockets are not open to this page.', REUSABLE),
  websockets_per_client: fault(429, 'client', 'Too many WebSockets of one client.', REUSABLE),
  websockets_total: fault(503, 'proxy', 'Too many WebSockets.', REUSABLE),
  /** Only over HTTP/2: a success that is no WebSocket would be taken for one. */
  websocket_declined: fault(502, 'upstream', 'The application did not open the WebSocket.', REUSABLE),
  websocket_idle: fault(0, 'client', 'The WebSocket was not used.'),
  // Time and presence of the client.
  request_head_timeout: fault(408, 'client', 'The request took too long to arrive.'),
  request_body_timeout: fault(408, 'client', 'The body took too long to arrive.'),
  client_gone: fault(0, 'client', 'The client went away.'),
  client_stalled: fault(0, 'client', 'The client stopped reading.'),
  /** How most connections end: no error, but many of one client tie up places. */
  client_idle: fault(0, 'client', 'The connection was not used.'),
  /** The client's own deadline: however short it was, no server is blamed for it. */
  grpc_deadline: fault(504, 'client', 'The call took longer than its client waits.', REUSABLE),
  // Connections that never carried a request.
  client_banned: fault(0, 'client', 'The client is banned.'),
  connections_per_client: fault(0, 'client', 'Too many connections of one client.'),
  connections_total: fault(0, 'proxy', 'Too many connections.'),
  handshakes_per_client: fault(0, 'client', 'Too many TLS handshakes of one client at once.'),
  handshakes_total: fault(0, 'proxy', 'Too many TLS handshakes at once.'),
  descriptors_exhausted: fault(0, 'proxy', 'No file descriptor was left.'),
  sni_unknown: fault(0, 'client', 'The TLS server name is not served here.'),
  tls_failed: fault(0, 'client', 'The TLS handshake failed.'),
  tls_timeout: fault(0, 'client', 'The TLS handshake took too long.'),
  tls_flood: fault(0, 'client', 'Too much of TLS carried nothing.'),
  // HTTP/2 (RFC 9113): violations, and floods that are counted per connection. The names in brackets are what they became known as.
  h2_protocol: fault(0, 'client', 'The frames break the protocol.'),
  h2_compression: fault(0, 'client', 'The compressed fields are malformed.'),
  h2_flow_control: fault(0, 'client', 'The flow control was disregarded.'),
  h2_request_malformed: fault(0, 'client', 'The request is malformed.', REUSABLE),
  h2_streams_exceeded: fault(0, 'client', 'Too many streams at once.', REUSABLE),
  /** CVE-2023-44487 ("rapid reset"). */
  h2_rapid_reset: fault(0, 'client', 'Too many requests were cancelled.'),
  /** CVE-2025-8671 ("MadeYouReset"). */
  h2_provoked_resets: fault(0, 'client', 'Too many requests had to be reset.'),
  /** CVE-2024-27316. */
  h2_continuation_flood: fault(0, 'client', 'The fields of a request do not end.'),
  /** CVE-2016-6581 ("HPACK bomb"). */
  h2_header_bomb: fault(0, 'client', 'The fields of a request are too large once decompressed.'),
  /** CVE-2019-9515. */
  h2_settings_flood: fault(0, 'client', 'Too many settings.'),
  h2_settings_timeout: fault(0, 'client', 'The settings were not acknowledged.'),
  /** CVE-2019-9512. */
  h2_ping_flood: fault(0, 'client', 'Too many pings.'),
  /** CVE-2019-9518. */
  h2_empty_frames: fault(0, 'client', 'Too many frames without content.'),
  /** CVE-2019-9513 ("resource loop"). */
  h2_priority_flood: fault(0, 'client', 'Too many changes of priority.'),
  /** CVE-2019-9511 ("data dribble"). */
  h2_window_flood: fault(0, 'client', 'Too many changes of windows.'),
  h2_unknown_frames: fault(0, 'client', 'Too many unknown frames.'),
  h2_stray_frames: fault(0, 'client', 'Too many frames of streams that are over.'),
  /** CVE-2019-9517 ("internal data buffering"). */
  h2_window_stalled: fault(0, 'client', 'The client does not let the response out.'),
  h2_trickle: fault(0, 'client', 'The client lets the response out in drops.'),
  // What customers share.
  requests_per_client: fault(429, 'client', 'Too many requests at once.', REUSABLE),
  share_exceeded: fault(503, 'proxy', 'Too many requests at once.', REUSABLE),
  requests_per_customer: fault(503, 'proxy', 'Too many requests at once.', REUSABLE),
  requests_total: fault(503, 'proxy', 'Too many requests at once.', REUSABLE),
  /** Over TLS the connection ends within its handshake, and there is nobody to answer. */
  connections_per_customer: fault(503, 'proxy', 'Too many connections.', {dismissing: true}),
  connection_share_exceeded: fault(503, 'proxy', 'Too many connections.', {dismissing: true}),
  handshakes_per_customer: fault(0, 'proxy', 'Too many TLS handshakes at once.'),
  handshake_share_exceeded: fault(0, 'proxy', 'Too many TLS handshakes at once.'),
  buffers_per_client: fault(429, 'client', 'Too much is waiting to be sent.', REUSABLE),
  buffer_share_exceeded: fault(503, 'proxy', 'Too much is waiting to be sent.', REUSABLE),
  /** Of the time of a thread. */
  time_share_exceeded: fault(503, 'proxy', 'Too many requests at once.', REUSABLE),
  buffers_per_customer: fault(503, 'proxy', 'Too much is waiting to be sent.', REUSABLE),
  buffers_total: fault(503, 'proxy', 'Too much is waiting to be sent.', REUSABLE),
  // The upstream.
  endpoint_unavailable: fault(503, 'upstream', 'The application is not available.', REUSABLE),
  endpoint_saturated: fault(503, 'upstream', 'The application is busy.', REUSABLE),
  endpoint_forbidden: fault(502, 'proxy', 'The application cannot be reached.', REUSABLE),
  connect_failed: fault(502, 'upstream', 'The application cannot be reached.', RETRYABLE),
  connect_unavailable: fault(503, 'proxy', 'The application cannot be reached now.', REUSABLE),
  connect_timeout: fault(504, 'upstream', 'The application cannot be reached.', RETRYABLE),
  upstream_tls_failed: fault(502, 'upstream', 'The application cannot be reached.', RETRYABLE),
  /** The server's own word that it has not begun with the request (RFC 9113 §8.7). */
  upstream_refused: fault(502, 'upstream', 'The application gave no answer.', RETRYABLE),
  upstream_closed: fault(502, 'upstream', 'The application gave no answer.', RETRYABLE),
  upstream_head_invalid: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_head_too_large: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_framing_invalid: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_chunk_invalid: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_surplus: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_upgrade_unasked: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_upgrade_invalid: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_trailers_invalid: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_h2_protocol: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_h2_flood: fault(502, 'upstream', 'The application gave an invalid answer.', REUSABLE),
  upstream_truncated: fault(502, 'upstream', 'The application did not finish its answer.', REUSABLE),
  response_head_timeout: fault(504, 'upstream', 'The application took too long.', REUSABLE),
  response_idle_timeout: fault(504, 'upstream', 'The application took too long.', REUSABLE),
  // Torwart itself.
  route_withdrawn: fault(0, 'proxy', 'This is no longer served here.'),
  drain_expired: fault(0, 'proxy', 'The server did not wait any longer.'),
  internal: fault(0, 'proxy', 'Something went wrong here.'),
} as const satisfies Record<string, FaultRule>;

export type FaultCode = keyof typeof FAULTS;

/** Every code in a fixed order: the position is the column of the code's counter. */
export const FAULT_CODES = Object.keys(FAULTS) as readonly FaultCode[];

const POSITIONS: ReadonlyMap<FaultCode, number> = new Map(FAULT_CODES.map((code, position) => [code, position]));

export function faultPosition(code: FaultCode): number {
  const position = POSITIONS.get(code);
  if (position === undefined) throw new Error(`fault ${code} is not in the table`);
  return position;
}
