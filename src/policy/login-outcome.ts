/** Has an attempt to log in failed? Only the application knows; its answer shows it. */
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import type {ResponseHead} from '#src/http1/response-head.ts';

/**
 * `unclear`: the application has had trouble of its own, or with the request, and has not said. A refusal of anything but the password must be no
 * success: whoever leaves the password out would be forgiven, and be known for the account.
 */
export type LoginOutcome = 'success' | 'failure' | 'unclear';

export function judgeLogin({status, fields}: Pick<ResponseHead, 'status' | 'fields'>, failure: LoginGuardSnapshot['failure']): LoginOutcome {
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
  return status >= 400 ? 'unclear' : 'success';
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
