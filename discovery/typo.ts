/** Names that were probably meant. Pure. */

/** Insertions, deletions and replacements that turn `a` into `b` (Levenshtein). */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The known name that `name` is at most two letters away from; undefined where it is one, or like none. */
export function meant(name: string, known: readonly string[]): string | undefined {
  if (known.includes(name)) return undefined;
  return known.find(other => Math.abs(other.length - name.length) <= 2 && distance(name, other) <= 2);
}
