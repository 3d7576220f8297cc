/**
 * When pods' wires are looked at: that costs lists of all links and routes, the tables about them a program each, and the
 * API's news, of which a large cluster has many a second, have nothing to do with it.
 */
export type Sweeping = {
  /** The kernel has news of pods' links and routes, or of tables, which then are read as well. */
  readonly mark: (what: 'wires' | 'tables') => void;
  /**
   * Looks where there were news since the last look began, and at all of it where what is `wanted` of pods is not what it
   * was, where the last such look failed, or where it is too long ago. Rejects as the look does.
   */
  readonly run: (wanted: string) => Promise<void>;
};

export function openSweeping(
  sweep: (tables: boolean) => Promise<unknown>,
  maxMs: number,
  now: () => number = () => performance.now(),
): Sweeping {
  let news = { wires: true, tables: true };
  let last = Number.NEGATIVE_INFINITY;
  let known: string | undefined;
  return {
    mark: what => {
      news = { ...news, [what]: true };
    },
    run: async wanted => {
      const tables = news.tables || wanted !== known || now() - last >= maxMs;
      if (!tables && !news.wires) return;
      // News of while it looks are of the next look.
      news = { wires: false, tables: false };
      if (tables) last = now();
      known = wanted;
      try {
        await sweep(tables);
      } catch (error) {
        news = { wires: true, tables: tables || news.tables };
        throw error;
      }
    },
  };
}
