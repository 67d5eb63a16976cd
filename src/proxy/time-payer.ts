/** Whose time a request takes. */
import type {TimeAccount} from '#src/balance/time-account.ts';
import type {TlsFacts} from '#src/edge/request-handler.ts';
import type {Site, Tables} from '#src/proxy/tables.ts';

/** A connection that was opened with one customer's certificate must not reach another's hosts (RFC 9110 §7.4). */
export function isServedOn(tls: TlsFacts | null, {customer}: Site): boolean {
  return tls === null || tls.customer === '' || tls.customer === customer.name;
}

/** What is not served is paid for by the connection's own customer where that is known: whoever else is named has no say in it, and could not ban its client. */
export function findTimePayer(tables: Tables, tls: TlsFacts | null, site: Site | undefined, strangers: TimeAccount): TimeAccount {
  if (site !== undefined && isServedOn(tls, site)) return site.customer.time;
  return (tls === null ? undefined : tables.findTimeAccount(tls.customer)) ?? strangers;
}
