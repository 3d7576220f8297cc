/** Waiting with an end. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How many times longer than on an ordinary machine everything may take, and how much more seldom it is looked at. */
export const PATIENCE = Number(process.env.WEFT_LAB_PATIENCE ?? 1);

/** Asks every `everyMs` until the answer is not undefined; rejects after `withinMs`, saying what for. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  withinMs = 30_000,
  everyMs = 50,
): Promise<T> {
  const end = performance.now() + withinMs * PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`waited ${withinMs * PATIENCE} ms in vain for ${what}`);
    await sleep(everyMs * PATIENCE);
  }
}

/** Two reads that far apart that say the same. */
export const untilStill = <T>(what: string, read: () => Promise<T>, apartMs = 1_500): Promise<true> =>
  until(
    `${what} to stand still`,
    async () => {
      const before = await read();
      await sleep(apartMs);
      return (await read()) === before || undefined;
    },
    20_000,
  );
