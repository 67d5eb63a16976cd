/** May this request become a WebSocket? Decided before an application hears of it. */
import {randomBytes} from 'node:crypto';
import type {WebSocketSnapshot} from '#src/config/snapshot.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {FIELD} from '#src/http1/field-names.ts';
import type {RequestHead} from '#src/http1/request-head.ts';
import {readOffer, valuesOf, wantsWebSocket, type WebSocketOffer} from '#src/policy/websocket-handshake.ts';
import {compileOriginPolicy, isOriginAllowed, type OriginPolicy} from '#src/policy/websocket-origin.ts';
import type {Gateway} from '#src/proxy/gateway.ts';
import type {RequestFacts} from '#src/proxy/request-facts.ts';
import type {TunnelPlace} from '#src/proxy/tunnels.ts';

/** A route's. */
export interface WebSocketPolicy {
  readonly origins: OriginPolicy;
  readonly idleMs: number;
}

export function compileWebSocket(snapshot: WebSocketSnapshot): WebSocketPolicy {
  return {origins: compileOriginPolicy(snapshot), idleMs: snapshot.idleMs};
}

/** A handshake that was admitted. Its place counts until the request has ended, as a tunnel or as any other. */
export interface Upgrade {
  readonly offer: WebSocketOffer;
  readonly place: TunnelPlace;
  readonly idleMs: number;
  /** The line with the key that Torwart made for the application, or nothing where the client's is passed on. */
  readonly keyLine: string;
}

const KEY_BYTES = 16;

/** Fills `facts.upgrade` where the request asks for a WebSocket. */
export function admitUpgrade(gateway: Gateway, policy: WebSocketPolicy, head: RequestHead, facts: RequestFacts): FaultCode | null {
  if (!wantsWebSocket(head)) return null;
  const {authority, client, site} = facts;
  if (client === null || site === null) throw new Error('a request with a route has a client and a site');
  const ownKey = head.isExtendedConnect ? randomBytes(KEY_BYTES).toString('base64') : null;
  const offer = readOffer(head, ownKey);
  if (typeof offer === 'string') return offer;
  if (!isOriginAllowed(policy.origins, valuesOf(head.fields, FIELD.origin), client.scheme, authority)) return 'websocket_origin_refused';
  const place = {caps: site.customer.tunnelCaps, client};
  const fault = gateway.tunnels.takePlace(place);
  if (fault === null) facts.upgrade = {offer, place, idleMs: policy.idleMs, keyLine: ownKey === null ? '' : `sec-websocket-key: ${ownKey}\r\n`};
  return fault;
}
