/** The login guards of a customer, by the path that they guard and by name. */
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import {stripPathParameters} from '#src/policy/path-table.ts';
import {LoginGuard, type LoginGuardParts} from '#src/proxy/login-guard.ts';

/** Null where there are none. */
export type LoginGuardsBuilder = (customer: string, guards: readonly LoginGuardSnapshot[]) => LoginGuards | null;

export function createLoginGuardsBuilder(parts: LoginGuardParts): LoginGuardsBuilder {
  return (customer, guards) => {
    const waiting = {count: 0};
    return guards.length === 0 ? null : new LoginGuards(guards.map((guard) => new LoginGuard(parts, customer, guard, waiting)));
  };
}

export class LoginGuards {
  readonly #guards = new Map<string, LoginGuard[]>();
  readonly #named: ReadonlyMap<string, LoginGuard>;

  constructor(guards: readonly LoginGuard[]) {
    this.#named = new Map(guards.map((guard) => [guard.snapshot.name, guard]));
    for (const guard of guards) {
      for (const path of guard.snapshot.paths) this.#guards.set(foldPath(path), [...this.#guards.get(foldPath(path)) ?? [], guard]);
    }
  }

  /** The one that the route names, else the first that is for this path. @param target normalised, perhaps with a query */
  find(method: string, target: string, ofRoute: string | null): LoginGuard | null {
    const named = ofRoute === null ? undefined : this.#named.get(ofRoute);
    if (named?.snapshot.methods.includes(method) === true) return named;
    const query = target.indexOf('?');
    const guards = this.#guards.get(foldPath(query < 0 ? target : target.slice(0, query)));
    return guards?.find(({snapshot}) => snapshot.methods.includes(method)) ?? null;
  }
}

/** Applications that do not mind the case, a slash at the end or parameters must not be a way around the guard. */
function foldPath(path: string): string {
  return stripPathParameters(path).toLowerCase().replace(/(?<=.)\/$/, '');
}
