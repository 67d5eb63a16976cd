/** A request's head from the form of HTTP/1.1, in which it is prepared, to that of HTTP/2 (RFC 9113 §8.3). */

const VERSION_LENGTH = ' HTTP/1.1'.length;
const HOST = 'host: ';
const LINE_END = '\r\n';

/**
 * The lines of a head with its pseudo-header fields first.
 * @param head as in `UpstreamStream.sendRequest`: the Host field, which Torwart writes itself, comes first
 */
export function toHttp2Lines(head: string, length: number, scheme: 'http' | 'https'): string {
  const lineEnd = head.indexOf(LINE_END);
  const methodEnd = head.indexOf(' ');
  const hostStart = lineEnd + LINE_END.length + HOST.length;
  const hostEnd = head.indexOf(LINE_END, hostStart);
  if (!head.startsWith(HOST, hostStart - HOST.length)) throw new Error('a head does not begin with its host');
  const pseudo = `:method: ${head.slice(0, methodEnd)}\r\n:scheme: ${scheme}\r\n:authority: ${head.slice(hostStart, hostEnd)}\r\n:path: ${head.slice(methodEnd + 1, lineEnd - VERSION_LENGTH)}\r\n`;
  return pseudo + head.slice(hostEnd + LINE_END.length) + (length >= 0 ? `content-length: ${length}\r\n` : '');
}
