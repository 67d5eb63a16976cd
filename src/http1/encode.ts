/** Heads and chunks as Torwart writes them (RFC 9112 §4, §7.1). Framing is always Torwart's own. */
import {ANNOUNCE_BODY, ANNOUNCE_NOTHING, BODY_CHUNKED, BODY_UNTIL_CLOSE} from '#src/http1/framing.ts';

export const CHUNK_END = '\r\n';
/** What both hops of a WebSocket are told: it is never the other side's own line that is passed on. */
export const UPGRADE_LINES = 'connection: Upgrade\r\nupgrade: websocket\r\n';
export const CONTINUE_RESPONSE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** The end of a chunked body. @param trailers lines, or nothing */
export function lastChunk(trailers: string): string {
  return `0\r\n${trailers}\r\n`;
}

/** The line before a chunk's data. */
export function chunkSizeLine(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

/** The framing field of a body, or nothing where there is none to announce. */
export function framingLine(bodyLength: number): string {
  if (bodyLength === BODY_CHUNKED) return 'transfer-encoding: chunked\r\n';
  if (bodyLength === BODY_UNTIL_CLOSE) return '';
  return `content-length: ${bodyLength}\r\n`;
}

/**
 * The framing field of a response to a client: HTTP/1.0 knows no chunks, so that there the end of the connection ends the body.
 * @param announcedLength a length or an `ANNOUNCE_…` value
 */
export function responseFramingLine(bodyLength: number, announcedLength: number, isHttp10: boolean): string {
  if (bodyLength < 0) return isHttp10 ? '' : framingLine(BODY_CHUNKED);
  if (announcedLength === ANNOUNCE_NOTHING) return '';
  return framingLine(announcedLength === ANNOUNCE_BODY ? bodyLength : announcedLength);
}

/** RFC 9112 §9.3: HTTP/1.1 goes on unless it is said otherwise, HTTP/1.0 ends. */
export function connectionLine(isPersistent: boolean, isHttp10: boolean): string {
  if (!isPersistent) return 'connection: close\r\n';
  return isHttp10 ? 'connection: keep-alive\r\n' : '';
}

const REASONS: Readonly<Record<number, string>> = {
  101: 'Switching Protocols', 200: 'OK', 204: 'No Content', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 307: 'Temporary Redirect',
  308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
  408: 'Request Timeout', 410: 'Gone', 413: 'Content Too Large', 414: 'URI Too Long', 417: 'Expectation Failed', 421: 'Misdirected Request',
  426: 'Upgrade Required', 429: 'Too Many Requests', 431: 'Request Header Fields Too Large', 451: 'Unavailable For Legal Reasons', 500: 'Internal Server Error',
  502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 505: 'HTTP Version Not Supported',
};

/** Reason phrase of a status that Torwart sends by itself; may be empty (RFC 9112 §4). */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? '';
}

const STATUS_LINES: readonly (string | undefined)[] = Array.from({length: 600}, (_, status) => {
  const reason = REASONS[status];
  return reason === undefined ? undefined : `HTTP/1.1 ${status} ${reason}\r\n`;
});

export function statusLine(status: number, reason: string): string {
  const usual = STATUS_LINES[status];
  if (usual !== undefined && REASONS[status] === reason) return usual;
  return `HTTP/1.1 ${status} ${reason}\r\n`;
}
