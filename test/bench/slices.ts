/**
 * One stream of packets in short slices, in turns with something and without it: what others do on the
 * machine meets both sides alike, so that small differences show.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from '../lab/namespace.ts';

/** What has gone out by a link so far. */
export type Sent = { readonly bytes: number; readonly packets: number };

/** Of a link of another network namespace, without a program. */
export function sentBy({ pid }: Namespace, link: string): Sent {
  const line = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .find(text => text.trim().startsWith(`${link}:`));
  const words = line?.split(':')[1]?.trim().split(/\s+/).map(Number) ?? [];
  return { bytes: words[8] ?? Number.NaN, packets: words[9] ?? Number.NaN };
}

export type Slices = { readonly on: readonly number[]; readonly off: readonly number[] };

/** After a switch, until queues hold what came after it. */
const SETTLE_MS = 10;
const SLICE_MS = 100;

/** A second's worth of `read`, for each slice; of every two pairs one begins with either side. */
export async function inTurns(
  pairs: number,
  read: () => number,
  turn: (on: boolean) => Promise<unknown>,
): Promise<Slices> {
  const rates: Record<'on' | 'off', number[]> = { on: [], off: [] };
  const slice = async (side: 'on' | 'off'): Promise<void> => {
    await turn(side === 'on');
    await sleep(SETTLE_MS);
    const [begin, before] = [performance.now(), read()];
    await sleep(SLICE_MS);
    rates[side].push(((read() - before) * 1e3) / (performance.now() - begin));
  };
  for (let n = 0; n < pairs; n += 1)
    for (const side of n % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) await slice(side);
  await turn(true);
  return rates;
}
