/**
 * Makes of decoded fields the same head that an HTTP/1.1 connection parses (RFC 9113 §8), so that everything behind it is the same. What
 * would mean another request, or two, once it is written as HTTP/1.1 never becomes a head.
 */
import type {FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {VISIBLE_CLASS, isToken} from '#src/http1/characters.ts';
import {FIELD, SINGLE_BITS} from '#src/http1/field-names.ts';
import {BODY_CHUNKED, LENGTH_ABSENT, LENGTH_INVALID, parseContentLength} from '#src/http1/framing.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {ROLE, type HeaderField} from '#src/http2/header-field.ts';
import type {FieldSink} from '#src/http2/hpack-decoder.ts';
import {PRIORITY_DEFAULT, parsePriority, type Priority} from '#src/http2/priority.ts';
import {ENTRY_OVERHEAD_BYTES} from '#src/http2/static-table.ts';

/** `malformed`: no request at all (RFC 9113 §8.1.1). A fault: one that is answered with the fault's status. */
export type Verdict = 'good' | 'malformed' | FaultCode;

const SLASH = 0x2f;
/** The one protocol that CONNECT is served for. */
const WEBSOCKET = 'websocket';
/** `: ` and CRLF, which the limit of HTTP/1.1 heads counts. */
const LINE_OVERHEAD_BYTES = 4;

export class RequestAssembler implements FieldSink {
  /** Filled anew by each request: whoever it is lent to takes out what is needed later. */
  readonly head: RequestHead;
  priority: Priority = PRIORITY_DEFAULT;
  #ownScheme: 'http' | 'https' = 'https';
  #isConnectOffered = false;
  #isMalformed = false;
  #fault: FaultCode | null = null;
  #areFieldsBegun = false;
  #method: string | null = null;
  #scheme: string | null = null;
  #path: string | null = null;
  #authority: string | null = null;
  #protocol: string | null = null;
  #host: string | null = null;
  #cookies: string | null = null;
  #singlesSeen = 0;
  #listBytes = 0;
  #headBytes = 0;

  constructor(head: RequestHead) {
    this.head = head;
  }

  /**
   * @param scheme of the connection
   * @param isConnectOffered the client knows that `:protocol` may be used
   */
  begin(scheme: 'http' | 'https', isConnectOffered: boolean): void {
    const {head} = this;
    this.#ownScheme = scheme;
    this.#isConnectOffered = isConnectOffered;
    head.fields.clear();
    head.minorVersion = 1;
    head.contentLength = LENGTH_ABSENT;
    head.transferEncoding = 'absent';
    head.close = false;
    head.keepAlive = false;
    head.upgrade = false;
    head.upgradeProtocol = '';
    head.expect = '';
    head.userAgent = '';
    head.referer = '';
    head.accept = '';
    head.isExtendedConnect = false;
    this.priority = PRIORITY_DEFAULT;
    this.#isMalformed = false;
    this.#fault = null;
    this.#areFieldsBegun = false;
    this.#method = null;
    this.#scheme = null;
    this.#path = null;
    this.#authority = null;
    this.#protocol = null;
    this.#host = null;
    this.#cookies = null;
    this.#singlesSeen = 0;
    this.#listBytes = 0;
    this.#headBytes = 0;
  }

  add(field: HeaderField): boolean {
    const {role, size} = field;
    this.#listBytes += size;
    this.#headBytes += size - ENTRY_OVERHEAD_BYTES + LINE_OVERHEAD_BYTES;
    if (this.#headBytes > LIMITS.requestHeadBytesMax) this.#fault = 'head_too_large';
    if (this.#listBytes > LIMITS.h2HeaderListBytesMax) return false;
    if (role >= ROLE.METHOD && role <= ROLE.PROTOCOL) this.#addPseudo(field);
    else {
      this.#areFieldsBegun = true;
      this.#addField(field);
    }
    return true;
  }

  /** RFC 9113 §8.3: each once, before all other fields. */
  #addPseudo({role, value, line}: HeaderField): void {
    if (this.#areFieldsBegun) this.#isMalformed = true;
    switch (role) {
      case ROLE.METHOD:
        if (this.#method !== null) this.#isMalformed = true;
        this.#method = value;
        break;
      case ROLE.SCHEME:
        if (this.#scheme !== null) this.#isMalformed = true;
        this.#scheme = value;
        break;
      case ROLE.PATH:
        if (this.#path !== null) this.#isMalformed = true;
        this.#path = value;
        break;
      case ROLE.PROTOCOL:
        if (this.#protocol !== null || !this.#isConnectOffered) this.#isMalformed = true;
        this.#protocol = value;
        break;
      default:
        if (this.#authority !== null) this.#isMalformed = true;
        this.#authority = value;
        this.#append(line, 'host'.length, FIELD.host);
    }
  }

  #addField(field: HeaderField): void {
    const {head} = this;
    const {value} = field;
    // RFC 8441 §5: a key has no meaning here. The application gets one of Torwart's own, and must not see two.
    if (this.#protocol !== null && field.name.number === FIELD['sec-websocket-key']) return;
    switch (field.role) {
      case ROLE.STATUS:
      case ROLE.MALFORMED:
        this.#isMalformed = true;
        return;
      case ROLE.COOKIE:
        // RFC 9113 §8.2.3: a client may cut it into crumbs, and HTTP/1.1 has no word for that.
        this.#cookies = this.#cookies === null ? value : `${this.#cookies}; ${value}`;
        return;
      case ROLE.HOST:
        if (this.#host !== null) this.#isMalformed = true;
        this.#host = value;
        if (this.#authority !== null) return;
        break;
      case ROLE.CONTENT_LENGTH:
        if (head.contentLength !== LENGTH_ABSENT) this.#isMalformed = true;
        head.contentLength = parseContentLength(value);
        if (head.contentLength === LENGTH_INVALID) this.#isMalformed = true;
        break;
      case ROLE.TE:
        if (value !== 'trailers') this.#isMalformed = true;
        break;
      case ROLE.PRIORITY: this.priority = parsePriority(value); break;
      case ROLE.EXPECT: head.expect = head.expect === '' ? value : `${head.expect}, ${value}`; break;
      case ROLE.USER_AGENT: head.userAgent = value; break;
      case ROLE.REFERER: head.referer = value; break;
      case ROLE.ACCEPT: head.accept = value; break;
      default: {
        const bit = SINGLE_BITS[field.name.number] as number;
        if ((this.#singlesSeen & bit) !== 0) this.#fault ??= 'field_invalid';
        this.#singlesSeen |= bit;
      }
    }
    this.#append(field.line, field.name.text.length, field.name.number);
  }

  #append(line: string, nameLength: number, number: number): void {
    if (this.#fault === null && !this.head.fields.append(line, nameLength, number)) this.#fault = 'fields_too_many';
  }

  /**
   * All fields are here.
   * @param isEnd no content follows
   */
  finish(isEnd: boolean): Verdict {
    if (this.#isMalformed) return 'malformed';
    if (this.#cookies !== null) this.#append(`cookie: ${this.#cookies}\r\n`, 'cookie'.length, FIELD.cookie);
    return this.#finishTarget(isEnd) ?? this.#finishLength(isEnd) ?? this.#fault ?? 'good';
  }

  #finishTarget(isEnd: boolean): Verdict | null {
    const {head} = this;
    const method = this.#method;
    const authority = this.#authority ?? this.#host;
    if (method === null || !isToken(method) || authority === null || authority === '') return 'malformed';
    // RFC 9113 §8.3.1 speaks of entities that differ; two spellings of one are refused too.
    if (this.#host !== null && this.#host !== authority) return 'malformed';
    head.method = method.length <= LIMITS.methodBytesMax ? method : '';
    head.host = authority;
    if (method === 'CONNECT' && this.#protocol === null) return this.#finishConnect(authority);
    if (this.#protocol !== null && (method !== 'CONNECT' || !isToken(this.#protocol))) return 'malformed';
    const path = this.#path;
    if (path === null || this.#scheme === null || !isTarget(path, method)) return 'malformed';
    head.target = path.length <= LIMITS.requestTargetBytesMax ? path : '';
    if (this.#scheme !== this.#ownScheme) return 'target_invalid';
    if (head.method === '') return 'method_invalid';
    if (head.target === '') return 'target_too_long';
    return this.#protocol === WEBSOCKET ? this.#finishWebSocket(isEnd) : null;
  }

  /**
   * RFC 8441 §5: the handshake of HTTP/1.1 in other words. From here on it is that, so that every rule and route sees the same thing. CONNECT
   * for any other protocol stays CONNECT, and is refused as such.
   */
  #finishWebSocket(isEnd: boolean): Verdict | null {
    const {head} = this;
    head.method = 'GET';
    head.upgrade = true;
    head.upgradeProtocol = WEBSOCKET;
    head.isExtendedConnect = true;
    this.#append('connection: Upgrade\r\n', 'connection'.length, FIELD.connection);
    this.#append(`upgrade: ${WEBSOCKET}\r\n`, 'upgrade'.length, FIELD.upgrade);
    // Its content is that of the tunnel; a client that has ended its side already wants none.
    return isEnd ? 'websocket_invalid' : null;
  }

  /** RFC 9113 §8.5: an authority and nothing else. It is refused like CONNECT in HTTP/1.1, not like a malformed request. */
  #finishConnect(authority: string): Verdict | null {
    this.head.target = authority;
    return this.#path === null && this.#scheme === null && this.#authority !== null ? null : 'malformed';
  }

  #finishLength(isEnd: boolean): Verdict | null {
    const {head} = this;
    const {contentLength} = head;
    if (isEnd && contentLength > 0) return 'malformed';
    if (isEnd || head.isExtendedConnect) head.bodyLength = 0;
    else head.bodyLength = contentLength === LENGTH_ABSENT ? BODY_CHUNKED : contentLength;
    return null;
  }
}

/** Origin form, or `*` for OPTIONS (RFC 9113 §8.3.1): visible ASCII, so that nothing can end the request line. */
function isTarget(path: string, method: string): boolean {
  if (path.charCodeAt(0) !== SLASH && !(path === '*' && method === 'OPTIONS')) return false;
  for (let i = 0; i < path.length; i++) {
    if (VISIBLE_CLASS[path.charCodeAt(i)] !== 1) return false;
  }
  return true;
}
