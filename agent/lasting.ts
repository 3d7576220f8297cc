/** Things that go on for a while: what is over in a moment, as at every start, is no trouble to tell a person of. */

/** Of the sentences that hold now, those that have held for the time. */
export type Lasting = (current: readonly string[]) => readonly string[];

/** Sentences must have held at each call for `forMs`. `now` in milliseconds. */
export function openLasting(forMs: number, now: () => number): Lasting {
  let since: ReadonlyMap<string, number> = new Map();
  return current => {
    since = new Map(current.map(sentence => [sentence, since.get(sentence) ?? now()]));
    return current.filter(sentence => now() - (since.get(sentence) ?? now()) >= forMs);
  };
}
