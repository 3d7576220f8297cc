/** Work under pings of a hundred a second, of which none may be lost. */
import assert from 'node:assert/strict';
import { type Loss, underPings } from '../pings.ts';
import type { World } from './world.ts';

export type Told = { readonly diagnostic: (text: string) => void };

const assertNothingLost = (losses: readonly Loss[], t: Told): void => {
  const sum = (of: (loss: Loss) => number) => losses.reduce((total, loss) => total + of(loss), 0);
  t.diagnostic(`${sum(l => l.lost)} of ${sum(l => l.sent)} pings lost on ${losses.length} paths`);
  assert.ok(losses.every(loss => loss.sent > 100));
  assert.deepEqual(
    losses.filter(loss => loss.lost > 0),
    [],
  );
};

const ATTEMPTS = 3;

type Pairs = Parameters<typeof underPings>[1];

/**
 * Runs `work` under pings; none may be lost. A cut loses packets every time; a machine that stood still for a moment
 * does it once in a while, with `work` and without. So a loss is looked at again, and said.
 */
export async function lossless(
  { cluster }: World,
  pairs: Pairs,
  t: Told,
  work: (attempt: number) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const losses = await underPings(cluster, pairs, () => work(attempt));
    if (attempt === ATTEMPTS || losses.every(({ lost }) => lost === 0)) return assertNothingLost(losses, t);
    t.diagnostic(
      `lost in attempt ${attempt}: ${losses.map(({ path, lost }) => `${path} ${lost}`).join(', ')}`,
    );
  }
}
