/** Medians, ratios of interleaved pairs, and how sure they are. Pure but for the shuffle's own seed. */
export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
};

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export type Ratio = {
  readonly what: string;
  readonly unit: string;
  readonly pairs: number;
  /** Medians of both sides. */
  readonly ours: number;
  readonly theirs: number;
  /** Of the fastest tenth of both sides: what a machine that is used by others too hides least. */
  readonly oursFast: number;
  readonly theirsFast: number;
  /** Median of the pairs' ratios, ours to theirs, and its 95 % interval. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
};

/** Repeatable, so that a report can be made again from its numbers. */
function* random(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

const RESAMPLES = 2_000;

/** Bootstrap over the pairs. */
export function ratioOf(
  what: string,
  unit: string,
  ours: readonly number[],
  theirs: readonly number[],
): Ratio {
  const ratios = ours.map((value, n) => value / (theirs[n] ?? Number.NaN));
  const dice = random(ratios.length);
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(dice.next().value * ratios.length)] ?? Number.NaN)),
  );
  return {
    what,
    unit,
    pairs: ratios.length,
    ours: median(ours),
    theirs: median(theirs),
    oursFast: quantile(ours, 0.1),
    theirsFast: quantile(theirs, 0.1),
    ratio: median(ratios),
    low: quantile(medians, 0.025),
    high: quantile(medians, 0.975),
  };
}

export const printRatio = (r: Ratio): string =>
  `${r.what}: ${r.ratio.toFixed(3)} [${r.low.toFixed(3)}, ${r.high.toFixed(3)}] over ${r.pairs} pairs; medians ${r.ours.toFixed(2)} and ${r.theirs.toFixed(2)} ${r.unit}, fastest tenths ${r.oursFast.toFixed(2)} and ${r.theirsFast.toFixed(2)}: ${(r.oursFast / r.theirsFast).toFixed(3)}`;
