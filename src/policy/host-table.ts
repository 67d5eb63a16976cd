/**
 * Finds what belongs to a host: an exact name, else the longest wildcard. One Map look-up for an exact name and one a label for
 * wildcards, whatever the number of hosts.
 */

export interface HostEntry<T> {
  /** A lower-case host name, or `*.` and a suffix that any number of labels may stand before. */
  readonly pattern: string;
  readonly value: T;
}

export class HostTable<T> {
  readonly #exact = new Map<string, HostEntry<T>>();
  /** By the suffix that follows the `*`: `.example.com`. */
  readonly #wildcards = new Map<string, HostEntry<T>>();

  set(entry: HostEntry<T>): void {
    const [map, key] = this.#placeOf(entry);
    map.set(key, entry);
  }

  /** Removes the entry where it has not been replaced by another one. */
  delete(entry: HostEntry<T>): void {
    const [map, key] = this.#placeOf(entry);
    if (map.get(key) === entry) map.delete(key);
  }

  #placeOf({pattern}: HostEntry<T>): readonly [Map<string, HostEntry<T>>, string] {
    return pattern.startsWith('*.') ? [this.#wildcards, pattern.slice(1)] : [this.#exact, pattern];
  }

  /**
   * The table's own copy of a text that is an exact name as it stands. A Host field mostly is: it needs no parsing then, and what keeps
   * the copy keeps nothing that the client has sent.
   */
  findName(text: string): string | undefined {
    return this.#exact.get(text)?.pattern;
  }

  /** @param host lower case, without port */
  find(host: string): T | undefined {
    return (this.#exact.get(host) ?? (this.#wildcards.size === 0 ? undefined : this.#findWildcard(host)))?.value;
  }

  #findWildcard(host: string): HostEntry<T> | undefined {
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const entry = this.#wildcards.get(host.slice(dot));
      if (entry !== undefined) return entry;
    }
    return undefined;
  }
}
