/** The login guards of a customer, by the path that they guard and by name. */
import type {LoginGuardSnapshot} from '#src/config/snapshot.ts';
import {foldLoginPath, isInQuery, isProgram, readLoginTarget, spellingsOf} from '#src/policy/login-path.ts';
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
  readonly #paths: (readonly [path: string, guard: LoginGuard])[] = [];
  /** Those of paths that are programs, with a slash at the end. */
  readonly #programs: (readonly [prefix: string, guard: LoginGuard])[] = [];
  readonly #named: ReadonlyMap<string, LoginGuard>;
  readonly #methods: ReadonlySet<string>;

  constructor(guards: readonly LoginGuard[]) {
    this.#named = new Map(guards.map((guard) => [guard.snapshot.name, guard]));
    this.#methods = new Set(guards.flatMap(({snapshot}) => snapshot.methods));
    for (const guard of guards) {
      for (const path of guard.snapshot.paths.map(foldLoginPath)) {
        this.#guards.set(path, [...this.#guards.get(path) ?? [], guard]);
        this.#paths.push([path, guard]);
        if (isProgram(path)) this.#programs.push([`${path}/`, guard]);
      }
    }
  }

  /** The one that the route names, else the first that is for this path. @param target normalised, perhaps with a query */
  find(method: string, target: string, ofRoute: string | null): LoginGuard | null {
    if (!this.#methods.has(method)) return null;
    const named = ofRoute === null ? undefined : this.#named.get(ofRoute);
    if (named?.snapshot.methods.includes(method) === true) return named;
    const login = readLoginTarget(target), {path} = login;
    const found = spellingsOf(path).flatMap((spelling) => this.#guards.get(spelling) ?? []);
    const programs = this.#programs.filter(([prefix]) => path.startsWith(prefix)).map(([, guard]) => guard);
    const inQuery = login.inQuery.size === 0 ? [] : this.#paths.filter(([other]) => isInQuery(login, other)).map(([, guard]) => guard);
    return [...found, ...programs, ...inQuery].find(({snapshot}) => snapshot.methods.includes(method)) ?? null;
  }
}
