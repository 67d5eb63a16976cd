/** Which trailers pass (RFC 9110 §6.5.1): none that frames, routes, authenticates or changes a message whose head has been acted upon. */
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {FieldPlan} from '#src/policy/request-hardening.ts';

const NEVER: ReadonlySet<string> = new Set([
  'content-length', 'transfer-encoding', 'host', 'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'http2-settings',
  'cache-control', 'pragma', 'expect', 'max-forwards', 'range', 'authorization', 'authentication-info', 'www-authenticate', 'cookie', 'set-cookie',
  'age', 'date', 'expires', 'location', 'refresh', 'retry-after', 'vary', 'warning', 'link', 'alt-svc', 'clear-site-data', 'origin',
  'referer', 'strict-transport-security', 'x-frame-options', 'x-content-type-options', 'x-request-id', 'x-real-ip', 'forwarded',
]);
/** Families of fields of heads. A digest of the content is what trailers were made for (RFC 9530). */
const NEVER_PREFIX = /^(?:content-(?!digest$)|if-|proxy-|sec-|access-control-|x-forwarded-|cross-origin-)/;

/** The lines that may pass. What a plan drops of heads, it drops here as well. @param trailers lent */
export function selectTrailers(trailers: FieldBlock, plan: FieldPlan): string {
  let lines = '';
  for (let i = 0; i < trailers.count; i++) {
    const name = trailers.name(i).toLowerCase();
    const isDropped = plan.dropped[trailers.numbers[i] as number] === 1 || plan.removedNames?.has(name) === true;
    if (!isDropped && !NEVER.has(name) && !NEVER_PREFIX.test(name)) lines += `${name}: ${trailers.value(i)}\r\n`;
  }
  return lines;
}
