/** Two versions of a list in the order of a key. Sets and maps of ten thousand objects look at each of them; this looks at what differs. */

/** What stands under one key before and after; null: nothing. */
type Change<T> = readonly [T, T] | readonly [T, null] | readonly [null, T];

/** What is not the same object in both lists, each of which is in ascending order of the key and has it once. */
export function pairChanges<T extends object>(before: readonly T[], after: readonly T[], keyOf: (item: T) => string): readonly Change<T>[] {
  const changes: Change<T>[] = [];
  let i = 0, j = 0;
  for (;;) {
    const old = before[i], fresh = after[j];
    if (old === undefined && fresh === undefined) return changes;
    if (old === fresh) {
      i++;
      j++;
    } else if (fresh === undefined || (old !== undefined && keyOf(old) < keyOf(fresh))) {
      if (old !== undefined) changes.push([old, null]);
      i++;
    } else if (old === undefined || keyOf(fresh) < keyOf(old)) {
      changes.push([null, fresh]);
      j++;
    } else {
      changes.push([old, fresh]);
      i++;
      j++;
    }
  }
}
