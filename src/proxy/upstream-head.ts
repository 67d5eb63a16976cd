/** The head of a request as an application is sent it: normalised target, hardened fields, and what Torwart says about the client. */
import type {Downstream} from '#src/edge/request-handler.ts';
import {flattenText} from '#src/core/text.ts';
import {UPGRADE_LINES} from '#src/http1/encode.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {forwardedLines, type ClientIdentity} from '#src/policy/client-identity.ts';
import {replacePrefix} from '#src/policy/path-table.ts';
import {hardenRequestFields} from '#src/policy/request-hardening.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import type {Route} from '#src/proxy/tables.ts';

/** Without framing and empty line. */
export function composeUpstreamHead(route: Route, head: RequestHead, facts: RequestFacts, client: ClientIdentity, downstream: Downstream): string {
  const {authority, method, normalTarget, requestId, upgrade} = facts;
  const {path, replacePrefix: replacement} = route.snapshot;
  const target = replacement === null ? normalTarget : replacePrefix(normalTarget, path, replacement);
  const fields = findForwardedLines(client, authority, downstream) + hardenRequestFields(head.fields, route.requestPlan);
  const te = facts.takesTrailers && route.pool?.snapshot.protocol !== 'http1' ? 'te: trailers\r\n' : '';
  return `${method} ${target} HTTP/1.1\r\n${fields}${upgrade === null ? '' : UPGRADE_LINES + upgrade.keyLine}${te}x-request-id: ${requestId}\r\n`;
}

/** Behind a trusted proxy every request has a client of its own; else they are the same for the whole connection. */
function findForwardedLines(client: ClientIdentity, authority: string, {memo, peer}: Downstream): string {
  if (client !== peer) return forwardedLines(client, authority);
  if (!memo.isHostRepeated) return forwardedLines(peer, authority);
  if (memo.forwardedLines === '') memo.forwardedLines = flattenText(forwardedLines(peer, authority));
  return memo.forwardedLines;
}
