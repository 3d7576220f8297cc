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

/** What has been counted so far, and milliseconds of a processor that the program which sends has had. */
export type Reading = { readonly count: number; readonly ranMs: number };

/** Of a program with one thread. */
export const ranMs = (pid: number | undefined): number =>
  Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;

type Rates = { readonly on: number[]; readonly off: number[] };

/** Counts a second: of the clock, and of the sender's processor, of which others take nothing. */
export type Slices = { readonly byClock: Rates; readonly byProcessor: Rates };

/** After a switch, until queues hold what came after it. */
const SETTLE_MS = 10;
const SLICE_MS = 100;
const TRIES = 20;

/** Of every two pairs one begins with either side. */
export async function inTurns(
  pairs: number,
  read: () => Reading,
  turn: (on: boolean) => Promise<unknown>,
): Promise<Slices> {
  const slices: Slices = { byClock: { on: [], off: [] }, byProcessor: { on: [], off: [] } };
  const slice = async (side: 'on' | 'off', tries = TRIES): Promise<void> => {
    await turn(side === 'on');
    await sleep(SETTLE_MS);
    const [begin, before] = [performance.now(), read()];
    await sleep(SLICE_MS);
    const [end, after] = [performance.now(), read()];
    const count = 1e3 * (after.count - before.count);
    // Others had the processor all the time.
    if (count === 0 && tries > 1) return slice(side, tries - 1);
    slices.byClock[side].push(count / (end - begin));
    slices.byProcessor[side].push(count / Math.max(after.ranMs - before.ranMs, 1e-3));
  };
  for (let n = 0; n < pairs; n += 1)
    for (const side of n % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) await slice(side);
  await turn(true);
  return slices;
}
