/** Slashes of a path that are encoded, which some applications decode before they look at its segments. */
import {hasEncodedSlash} from '#src/http1/path.ts';
import type {Route, Site} from '#src/proxy/tables.ts';

/**
 * Whether the path has none, or the route allows them and an application that decodes them finds the same route: else they were a way around the
 * access list, the gate, the limits and the guard of another one.
 * @param path normalised, without query
 */
export function mayKeepSlashes(site: Pick<Site, 'paths'>, route: Route, path: string, method: string): boolean {
  return !hasEncodedSlash(path) || (route.snapshot.encodedSlashAllowed && site.paths.leadsDecodedTo(route, path, method));
}
