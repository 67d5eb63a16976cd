/**
 * From which pages a WebSocket may be opened (RFC 6455 §10.2). Browsers send cookies with a handshake whatever page opens it, and no rule of
 * theirs keeps the page from reading what comes back: the Origin field is all that tells ("cross-site WebSocket hijacking").
 */
import type {WebSocketSnapshot} from '#src/config/snapshot.ts';
import type {Scheme} from '#src/policy/client-identity.ts';

/** In the list of origins: the page comes from the host that the WebSocket goes to. */
const SAME_ORIGIN = 'same-origin';
/** In the list of origins: every page. */
const ANY = 'any';

export interface OriginPolicy {
  readonly isAnyAllowed: boolean;
  readonly isSameAllowed: boolean;
  /** Only browsers send the field. */
  readonly isMissingAllowed: boolean;
  /** As browsers write them: `https://app.example.com`. */
  readonly origins: ReadonlySet<string>;
}

export function compileOriginPolicy({origins, isMissingOriginAllowed}: WebSocketSnapshot): OriginPolicy {
  return {
    isAnyAllowed: origins.includes(ANY),
    isSameAllowed: origins.includes(SAME_ORIGIN),
    isMissingAllowed: isMissingOriginAllowed,
    // A client may write anything into its Origin, the words of our list included.
    origins: new Set(origins.filter((origin) => origin !== SAME_ORIGIN && origin !== ANY)),
  };
}

/**
 * @param values of the Origin field: a request has one at most
 * @param authority host and, where the client named it, port
 */
export function isOriginAllowed(policy: OriginPolicy, values: readonly string[], scheme: Scheme, authority: string): boolean {
  const [origin] = values;
  if (origin === undefined) return policy.isMissingAllowed;
  if (values.length > 1) return false;
  if (policy.isAnyAllowed) return true;
  return policy.origins.has(origin) || (policy.isSameAllowed && origin === serialiseOrigin(scheme, authority));
}

/** RFC 6454 §6.2: without the port that the scheme has anyway. */
function serialiseOrigin(scheme: Scheme, authority: string): string {
  const standardPort = scheme === 'https' ? ':443' : ':80';
  const isStandard = authority.endsWith(standardPort);
  return `${scheme}://${isStandard ? authority.slice(0, -standardPort.length) : authority}`;
}
