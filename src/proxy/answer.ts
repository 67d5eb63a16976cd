/** Answers that Torwart gives by itself. The only place that writes error responses. */
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import type {Downstream} from '#src/edge/request-handler.ts';
import {UPGRADE_LINES, reasonPhrase} from '#src/http1/encode.ts';
import {ANNOUNCE_BODY, ANNOUNCE_NOTHING} from '#src/http1/framing.ts';
import {grpcStatusLines} from '#src/policy/grpc.ts';
import {renderErrorPage} from '#src/policy/error-page.ts';
import {defaultResponseFields, type ResponsePlan} from '#src/policy/response-hardening.ts';
import {WEBSOCKET_VERSION} from '#src/policy/websocket-handshake.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';

export interface Answer {
  readonly status: number;
  /** Complete lines besides those that every answer has. */
  readonly fieldLines: string;
  /** Latin1 text, or UTF-8 decoded as such. */
  readonly body: string;
  readonly isReusable: boolean;
}

const NO_STORE = 'cache-control: no-store\r\n';
/** What a client should wait before it asks again for something that is not available. */
const UNAVAILABLE_RETRY_S = 5;

/** The answer to a fault. Its status must not be 0. */
export function answerFault(fault: FaultCode, facts: RequestFacts): Answer {
  const rule = FAULTS[fault];
  if (facts.isGrpc) return {status: 200, fieldLines: `content-type: application/grpc\r\nx-request-id: ${facts.requestId}\r\n${grpcStatusLines(fault)}`, body: '', isReusable: rule.reusable};
  const page = renderErrorPage(rule.status, reasonPhrase(rule.status), rule.reason, facts.requestId, facts.accept);
  return {
    status: rule.status,
    fieldLines: `content-type: ${page.contentType}\r\n${NO_STORE}x-request-id: ${facts.requestId}\r\n${faultLines(fault, facts)}`,
    body: page.body,
    isReusable: rule.reusable,
  };
}

function faultLines(fault: FaultCode, facts: RequestFacts): string {
  switch (fault) {
    case 'method_not_allowed': return `allow: ${facts.allowedMethods.join(', ')}\r\n`;
    case 'method_refused': return 'allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n';
    case 'credentials_missing':
    case 'credentials_wrong': return `www-authenticate: ${facts.challenge}\r\n`;
    case 'credentials_limited':
    case 'login_limited':
    case 'rate_limited': return `retry-after: ${Math.max(1, Math.ceil(facts.retryAfterMs / 1000))}\r\n`;
    case 'websocket_version': return `${facts.isExtendedConnect ? '' : UPGRADE_LINES}sec-websocket-version: ${WEBSOCKET_VERSION}\r\n`;
    case 'auth_unavailable':
    case 'credentials_unchecked':
    case 'websockets_per_client':
    case 'websockets_total':
    case 'share_exceeded':
    case 'requests_per_client':
    case 'requests_per_customer':
    case 'requests_total':
    case 'connections_per_customer':
    case 'connection_share_exceeded':
    case 'buffers_per_client':
    case 'buffer_share_exceeded':
    case 'time_share_exceeded':
    case 'buffers_per_customer':
    case 'buffers_total':
    case 'endpoint_unavailable':
    case 'connect_unavailable':
    case 'endpoint_saturated': return `retry-after: ${UNAVAILABLE_RETRY_S}\r\n`;
    default: return '';
  }
}

export function answerRedirect(status: number, location: string): Answer {
  return {status, fieldLines: `location: ${location}\r\n`, body: '', isReusable: true};
}

export function answerFixed(status: number, contentType: string, body: string): Answer {
  const text = Buffer.from(body, 'utf8').toString('latin1');
  return {status, fieldLines: text === '' ? '' : `content-type: ${contentType}\r\n`, body: text, isReusable: true};
}

/** Writes a whole answer with the default fields. Returns its status. */
export function sendAnswer(downstream: Downstream, answer: Answer, {method, rateLimitLines}: RequestFacts, plan: ResponsePlan, date: string): void {
  const isSecure = downstream.tls !== null;
  const lines = `date: ${date}\r\n${answer.fieldLines}${rateLimitLines}${defaultResponseFields(plan, isSecure)}`;
  const {body, status} = answer;
  const isBodiless = method === 'HEAD' || status === 204 || status === 304;
  const announced = !isBodiless ? ANNOUNCE_BODY : status === 204 || status === 304 ? ANNOUNCE_NOTHING : body.length;
  downstream.beginResponse(status, reasonPhrase(status), lines, isBodiless ? 0 : body.length, announced, answer.isReusable);
  if (!isBodiless) downstream.writeBodyText(body);
  downstream.endResponse();
}
