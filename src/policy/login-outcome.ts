/** Has an attempt to log in failed? Only the application knows; its answer shows it. */
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';
import {foldLoginPath, isSameLogin, type LoginTarget} from '#src/policy/login-path.ts';

/**
 * `unclear`: the application has had trouble of its own, or with the request, and has not said. A refusal of anything but the password must be no
 * success: whoever leaves the password out would be forgiven, and be known for the account.
 */
export type LoginOutcome = 'success' | 'failure' | 'unclear';

/** @param target of the attempt */
export function judgeLogin({status, fields}: Pick<ResponseHead, 'status' | 'fields'>, failure: LoginGuardSnapshot['failure'], target: LoginTarget): LoginOutcome {
  if (status >= 500) return 'unclear';
  let location = '';
  let hasCookie = failure.cookie === null;
  for (let i = 0; i < fields.count; i++) {
    const name = fields.name(i).toLowerCase();
    if (name === 'location') location = fields.value(i);
    else if (name === 'set-cookie' && !hasCookie) hasCookie = setsCookie(fields.value(i), failure.cookie ?? '');
  }
  const isRedirectedBack = status >= 300 && status <= 399 && failure.redirectPaths.includes(pathOf(location));
  if (failure.statuses.includes(status) || isRedirectedBack || !hasCookie) return 'failure';
  return status >= 400 || isSentElsewhere(status, location, target, failure.cookie !== null) ? 'unclear' : 'success';
}

/**
 * Whoever is to come again with the password (to the canonical host, without the slash at the end) has not been looked at: 307 and 308 say so,
 * and a redirect to the path of the attempt may mean it, unless the cookie of a success has been set.
 */
function isSentElsewhere(status: number, location: string, target: LoginTarget, isProven: boolean): boolean {
  if (status === 307 || status === 308) return true;
  return status >= 300 && location !== '' && !isProven && isSameLogin(target, foldLoginPath(pathOf(location)));
}

/** A cookie without a value is one that is taken away. */
function setsCookie(value: string, name: string): boolean {
  return value.startsWith(`${name}=`) && !/^[^=]+=(?:""|deleted)?\s*(?:;|$)/.test(value);
}

/** Of a URL, or of a reference to one on the same host. */
function pathOf(location: string): string {
  const url = URL.parse(location, 'http://host.invalid/');
  return url?.pathname ?? '';
}
