/**
 * Finds the route of a path: exact path or prefix by whole segments, the longest first, then the method. Cost grows with the
 * depth of the configured prefixes, never with the length of what a client sends.
 */
import {decodeSlashes} from '#src/http1/path.ts';

export interface PathRule<T> {
  /** Normalised path. */
  readonly path: string;
  readonly match: 'prefix' | 'exact';
  /** Empty: every method. */
  readonly methods: readonly string[];
  readonly value: T;
}

export type PathMatch<T> =
  | {readonly found: true; readonly value: T}
  | {readonly found: false; readonly allow: readonly string[]};

interface Candidate<T> {
  readonly methods: ReadonlySet<string> | null;
  readonly match: {readonly found: true; readonly value: T};
}

export class PathTable<T> {
  readonly #exact = new Map<string, Candidate<T>[]>();
  /** By prefix without a slash at its end; the root is the empty string. */
  readonly #prefixes = new Map<string, Candidate<T>[]>();
  readonly #depthMax: number;

  constructor(rules: readonly PathRule<T>[]) {
    let depthMax = 0;
    for (const rule of rules) {
      const key = rule.match === 'exact' ? rule.path : stripSlash(rule.path);
      const map = rule.match === 'exact' ? this.#exact : this.#prefixes;
      const candidates = map.get(key) ?? [];
      candidates.push({methods: methodSet(rule.methods), match: {found: true, value: rule.value}});
      // Among routes of one path, those that name methods are the more specific ones.
      candidates.sort((a, b) => Number(a.methods === null) - Number(b.methods === null));
      map.set(key, candidates);
      if (rule.match === 'prefix') depthMax = Math.max(depthMax, key.split('/').length - 1);
    }
    this.#depthMax = depthMax;
  }

  /** @param path normalised, without query */
  find(path: string, method: string): PathMatch<T> {
    const refused: Candidate<T>[] = [];
    const exact = this.#exact.size === 0 ? undefined : choose(this.#exact.get(path), method, refused);
    if (exact !== undefined) return exact;
    const ends = this.#segmentEnds(path);
    for (let i = ends.length - 1; i >= 0; i--) {
      const prefix = choose(this.#prefixes.get(path.slice(0, ends[i])), method, refused);
      if (prefix !== undefined) return prefix;
    }
    const root = choose(this.#prefixes.get(''), method, refused);
    return root ?? {found: false, allow: refused.flatMap((candidate) => [...(candidate.methods ?? [])])};
  }

  /** Whether the path leads to the value for those as well who decode its slashes first. @param path normalised, without query */
  leadsDecodedTo(value: T, path: string, method: string): boolean {
    const match = this.find(stripPathParameters(decodeSlashes(path)), method);
    return match.found && match.value === value;
  }

  /** Where the first segments of the path end, at most as many as the deepest prefix has. */
  #segmentEnds(path: string): readonly number[] {
    if (this.#depthMax === 0) return [];
    const ends: number[] = [];
    for (let at = 1; at <= path.length && ends.length < this.#depthMax;) {
      const slash = path.indexOf('/', at);
      const end = slash < 0 ? path.length : slash;
      if (end > at) ends.push(end);
      at = end + 1;
    }
    return ends;
  }
}

function choose<T>(candidates: readonly Candidate<T>[] | undefined, method: string, refused: Candidate<T>[]): Candidate<T>['match'] | undefined {
  if (candidates === undefined) return undefined;
  for (const candidate of candidates) {
    if (candidate.methods === null || candidate.methods.has(method)) return candidate.match;
    refused.push(candidate);
  }
  return undefined;
}

/** Who may GET may HEAD (RFC 9110 §9.3.2). */
function methodSet(methods: readonly string[]): ReadonlySet<string> | null {
  if (methods.length === 0) return null;
  return new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
}

function stripSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/**
 * Servlet containers drop `;parameters` from a path before they look at it, so `/admin;x/` is `/admin/` to them: it must meet the same
 * route, access list and rules. The path is sent with its parameters; the codec has refused those that would change its segments.
 */
export function stripPathParameters(path: string): string {
  return path.replace(/;[^/]*/g, '');
}

/** The path with its matched prefix replaced (`replacement` `/` strips it). Query included. */
export function replacePrefix(target: string, prefix: string, replacement: string): string {
  const rest = target.slice(stripSlash(prefix).length);
  const base = stripSlash(replacement);
  return base === '' && !rest.startsWith('/') ? `/${rest}` : base + rest;
}
