/** Work on one key takes turns; work on different keys does not wait. */
export type Keyed = {
  readonly run: <T>(key: string, work: () => Promise<T>) => Promise<T>;
  readonly busy: (key: string) => boolean;
  /** Resolves when all that was begun or waits now is done. */
  readonly idle: () => Promise<void>;
};

export function newKeyed(): Keyed {
  const tails = new Map<string, Promise<unknown>>();
  const run = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const mine = (tails.get(key) ?? Promise.resolve()).then(work, work);
    const tail = mine
      .catch(() => undefined)
      .then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
    tails.set(key, tail);
    return mine;
  };
  return {
    run,
    busy: key => tails.has(key),
    idle: async () => void (await Promise.all(tails.values())),
  };
}
