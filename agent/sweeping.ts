/**
 * When pods' wires are looked at: that costs lists of all links, routes and rules, and the API's
 * news, of which a large cluster has many a second, have nothing to do with it.
 */
export type Sweeping = {
  /** The kernel has news. */
  readonly mark: () => void;
  /**
   * Looks where there were news since the last look began, where what is `wanted` of pods is not
   * what it was, where the last look failed, or where it is too long ago. Rejects as the look does.
   */
  readonly run: (wanted: string) => Promise<void>;
};

export function openSweeping(
  sweep: () => Promise<unknown>,
  maxMs: number,
  now: () => number = () => performance.now(),
): Sweeping {
  let news = true;
  let last = Number.NEGATIVE_INFINITY;
  let known: string | undefined;
  return {
    mark: () => {
      news = true;
    },
    run: async wanted => {
      if (!news && wanted === known && now() - last < maxMs) return;
      // News of while it looks are of the next look.
      news = false;
      last = now();
      known = wanted;
      try {
        await sweep();
      } catch (error) {
        news = true;
        throw error;
      }
    },
  };
}
