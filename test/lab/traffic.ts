/** Numbered packets at a steady rate between two pods, and which of them got no answer. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from './runtime.ts';
import { PATIENCE, until } from './wait.ts';

export type Loss = {
  readonly sent: number;
  readonly lost: number;
  /** `from → address: 17–19, 240 of 600`, by number, for each flow that lost any. */
  readonly gaps: readonly string[];
  /** The longest row of packets without an answer, of any flow, in milliseconds; Infinity where one goes on to the end. */
  readonly longestMs: number;
};

/** Packets of the longest row, of `sent`. */
const longest = (numbers: readonly number[], sent: number): number =>
  numbers.includes(sent)
    ? Number.POSITIVE_INFINITY
    : Math.max(0, ...numbers.map((n, at) => numbers.slice(at).filter((m, step) => m === n + step).length));

/** 1, 2, 3, 7 → `1–3, 7`. */
const ranges = (numbers: readonly number[]): string =>
  numbers
    .flatMap((n, at) => {
      if (n - 1 === numbers[at - 1]) return [];
      const length = numbers.slice(at).findIndex((m, step) => m !== n + step);
      const last = length === -1 ? numbers.at(-1) : n + length - 1;
      return [last === n ? String(n) : `${n}–${last}`];
    })
    .join(', ');

/** Packets a second of each of four flows. On a slow machine all takes longer, a rotation's gap too, and so does this. */
const RATE = 100 / PATIENCE;

/** Packets that a flow sends after its end, before it is counted: the last of them may be under way still. */
const TAIL = Math.ceil(RATE / 4) * 2;

function lossOf(name: string, answered: ReadonlySet<number>, sent: number): Loss {
  const gone = Array.from({ length: sent }, (_, n) => n + 1).filter(seq => !answered.has(seq));
  return {
    sent,
    lost: gone.length,
    gaps: gone.length === 0 ? [] : [`${name}: ${ranges(gone)} of ${sent}`],
    longestMs: longest(gone, sent) * (1_000 / RATE),
  };
}

/**
 * Resolves, once answers come, with what ends it. One packet goes ahead and makes the connection's entry: of the
 * first two of an ICMP flow, both of them in the kernel at once on two processors, conntrack drops one
 * (`insert_failed`), with weft and without.
 */
async function startFlow(from: Pod, address: string): Promise<() => Promise<Loss>> {
  const name = `${from.name} → ${address}`;
  const flow = ['ping', '-n', '-e', String(randomInt(1, 65_536))];
  await from.namespace.run([...flow, '-W', '2', '-c', '1', address]).catch(() => {});
  const child = from.namespace.start([...flow, '-i', String(1 / RATE), address], { stdio: 'pipe' });
  const ended = once(child, 'close');
  const answered = new Set<number>();
  let newest = 0;
  createInterface({ input: child.stdout as Readable }).on('line', line => {
    const [, seq] = /icmp_seq=(\d+) ttl=/.exec(line) ?? [];
    if (seq === undefined) return;
    answered.add(Number(seq));
    newest = Math.max(newest, Number(seq));
  });
  const untilAnswered = (seq: number): Promise<true> =>
    until(`answer ${seq} of ${name}`, () => newest >= seq || undefined, 5_000);
  await untilAnswered(1);
  return async () => {
    const last = newest;
    await untilAnswered(last + TAIL).catch(() => {});
    child.kill('SIGINT');
    await ended;
    return lossOf(name, answered, last + TAIL / 2);
  };
}

/** `RATE` packets a second each way and back, IPv4 and IPv6: for `seconds`, and until `work` is done, however slow it is. */
async function underTraffic(
  a: Pod,
  b: Pod,
  seconds: number,
  work: () => Promise<void>,
  askers: readonly Pod[] = [a, b],
): Promise<Loss> {
  const ends = await Promise.all(
    askers.flatMap(from => {
      const to = from === a ? b : a;
      return [startFlow(from, to.v4 ?? ''), startFlow(from, to.v6 ?? '')];
    }),
  );
  const enough = sleep(seconds * 1_000);
  const worked = work();
  await worked.catch(() => {});
  await enough;
  const results = await Promise.all(ends.map(end => end()));
  await worked;
  return {
    sent: results.reduce((sum, r) => sum + r.sent, 0),
    lost: results.reduce((sum, r) => sum + r.lost, 0),
    gaps: results.flatMap(r => r.gaps),
    longestMs: Math.max(...results.map(r => r.longestMs)),
  };
}

/** One where the kernel's own WireGuard carries the packets, which depends on no process (test/kernel). */
const ATTEMPTS = Number(process.env.WEFT_LAB_ATTEMPTS ?? 3);

/**
 * Holds that `work` cuts nothing. A cut loses packets every time; a machine that stood still for a moment does it
 * once in a while, with `work` and without. So a loss is looked at again, and what was lost is said.
 */
export async function assertLossless(
  a: Pod,
  b: Pod,
  seconds: number,
  work: () => Promise<void>,
): Promise<void> {
  const losses: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const { sent, lost, gaps } = await underTraffic(a, b, seconds, work);
    process.stdout.write(`${lost} of ${sent} packets lost\n`);
    // A quarter of what four flows shall send: under load none of them keeps its rate.
    assert.ok(sent >= seconds * RATE, `only ${sent} packets were sent in ${seconds} s`);
    if (lost === 0) return;
    losses.push(`${lost} of ${sent} (${gaps.join('; ')})`);
  }
  assert.fail(`packets were lost each time: ${losses.join(', ')}`);
}

/**
 * Holds that `a`, which alone asks, is without answers for no longer than `ms`, in one of a few attempts, for the same
 * reason. `before` comes ahead of each one.
 */
export async function assertResumes(
  a: Pod,
  b: Pod,
  seconds: number,
  ms: number,
  work: () => Promise<void>,
  before: () => Promise<unknown> = async () => {},
): Promise<void> {
  const said: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    await before();
    const { longestMs, gaps } = await underTraffic(a, b, seconds, work, [a]);
    process.stdout.write(`the longest gap was ${longestMs} ms\n`);
    if (longestMs <= ms * PATIENCE) return;
    said.push(`${longestMs} ms (${gaps.join('; ')})`);
  }
  assert.fail(`traffic stood still for more than ${ms} ms each time: ${said.join(', ')}`);
}
