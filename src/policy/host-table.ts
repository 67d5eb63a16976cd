/**
 * Finds what belongs to a host: an exact name, else the longest wildcard. One Map look-up for an exact name and one a label for
 * wildcards, whatever the number of hosts.
 */
export class HostTable<T> {
  readonly #exact = new Map<string, T>();
  /** By the suffix that follows the `*`: `.example.com`. */
  readonly #wildcards = new Map<string, T>();

  /** @param pattern a lower-case host name, or `*.` and a suffix that any number of labels may stand before */
  set(pattern: string, value: T): void {
    if (pattern.startsWith('*.')) this.#wildcards.set(pattern.slice(1), value);
    else this.#exact.set(pattern, value);
  }

  /** Removes the pattern where it still belongs to `value`. */
  delete(pattern: string, value: T): void {
    const [map, key] = pattern.startsWith('*.') ? [this.#wildcards, pattern.slice(1)] : [this.#exact, pattern];
    if (map.get(key) === value) map.delete(key);
  }

  /** @param host lower case, without port */
  find(host: string): T | undefined {
    return this.#exact.get(host) ?? (this.#wildcards.size === 0 ? undefined : this.#findWildcard(host));
  }

  #findWildcard(host: string): T | undefined {
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const value = this.#wildcards.get(host.slice(dot));
      if (value !== undefined) return value;
    }
    return undefined;
  }
}
