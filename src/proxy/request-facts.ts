/** What is known of one request: filled by the admission, read by everything after it, and written to the log at the end. */
import type {PlaceAccount} from '#src/balance/fair-places.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {LoginAttempt} from '#src/proxy/login-attempt.ts';
import type {Route, Site} from '#src/proxy/tables.ts';
import type {Upgrade} from '#src/proxy/upgrade.ts';

export class RequestFacts {
  requestId = '';
  startedMs = 0;
  client: ClientIdentity | null = null;
  method = '';
  /** Target as the client sent it. */
  target = '';
  /** Host without port, lower case; empty until it is known to be valid. */
  host = '';
  /** Host with the port that the client named: what the upstream is sent. */
  authority = '';
  /** Normalised path and query: what is matched *and* what is sent. */
  normalTarget = '';
  userAgent = '';
  referer = '';
  accept = '';
  /** A call of gRPC. */
  isGrpc = false;
  /** When the client of a call gives it up, in milliseconds of the monotonic clock; infinite where it does not say. */
  deadlineMs = Infinity;
  /** Trailers of the request pass, and those of the response. */
  passesTrailers = false;
  takesTrailers = false;
  site: Site | null = null;
  route: Route | null = null;
  /** Milliseconds after which a limited client may come again. */
  retryAfterMs = 0;
  /** The limit that refused the request, else the first that would have. */
  limit = '';
  /** What the client is told of its limits: complete lines. */
  rateLimitLines = '';
  /** Methods that the path knows, for a 405. */
  allowedMethods: readonly string[] = [];
  /** The https address of this request, where it came in cleartext and must not be served there. */
  httpsLocation = '';
  /** The rule that denied the request, else the first that matched it. */
  rule = '';
  /** Who the client has proved to be. */
  user = '';
  /** How a 401 asks for proof. */
  challenge = '';
  /** Where the request is an attempt to log in that somebody guards. */
  login: LoginAttempt | null = null;
  /** Over HTTP/2 the request can only become a WebSocket, or fail: any success would be taken for one. */
  isExtendedConnect = false;
  /** The request may become a WebSocket; null for all that do not ask for it. */
  upgrade: Upgrade | null = null;
  /** Where its customer's place among the requests in flight is counted; null: it has none. */
  place: PlaceAccount | null = null;

  reset(requestId: string, startedMs: number): void {
    this.requestId = requestId;
    this.startedMs = startedMs;
    this.client = null;
    this.method = '';
    this.target = '';
    this.host = '';
    this.authority = '';
    this.normalTarget = '';
    this.userAgent = '';
    this.referer = '';
    this.accept = '';
    this.isGrpc = false;
    this.deadlineMs = Infinity;
    this.passesTrailers = false;
    this.takesTrailers = false;
    this.site = null;
    this.route = null;
    this.retryAfterMs = 0;
    this.limit = '';
    this.rateLimitLines = '';
    this.allowedMethods = [];
    this.httpsLocation = '';
    this.rule = '';
    this.user = '';
    this.challenge = '';
    this.login = null;
    this.isExtendedConnect = false;
    this.upgrade = null;
    this.place = null;
  }
}
