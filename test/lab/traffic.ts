/** Numbered packets at a steady rate between two pods, and which of them got no answer. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Pod } from './runtime.ts';
import { PATIENCE } from './wait.ts';

export type Loss = {
  readonly sent: number;
  readonly lost: number;
  /** `from → address: 17–19, 240 of 600`, in packets of 10 ms, for each flow that lost any. */
  readonly gaps: readonly string[];
  /** The longest row of packets without an answer, of any flow, in milliseconds. */
  readonly longestMs: number;
};

const INTERVAL_MS = 10;

const SUMMARY = /(\d+) packets transmitted, (\d+) received/;

/** Packets of the longest row. */
const longest = (numbers: readonly number[]): number =>
  Math.max(0, ...numbers.map((n, at) => numbers.slice(at).filter((m, step) => m === n + step).length));

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

function missing(output: string, sent: number): readonly number[] {
  const answered = new Set([...output.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, seq]) => Number(seq)));
  return Array.from({ length: sent }, (_, n) => n + 1).filter(seq => !answered.has(seq));
}

/**
 * One packet goes ahead and makes the connection's entry: of the first two of an ICMP flow, both of them in the
 * kernel at once on two processors, conntrack drops one (`insert_failed`), with weft and without.
 */
async function ping(from: Pod, address: string, seconds: number): Promise<Loss> {
  const flow = ['ping', '-n', '-W', '2', '-e', String(randomInt(1, 65_536))];
  await from.namespace.run([...flow, '-c', '1', address]).catch(() => {});
  const argv = [...flow, '-i', String(INTERVAL_MS / 1_000), '-c', String(seconds * 100), address];
  const output = await from.namespace
    .run(argv, { timeoutMs: (seconds + 20) * 1000 })
    .catch(error => String(error.stdout));
  const [, sent, received] = SUMMARY.exec(output) ?? [];
  if (sent === undefined) throw new Error(`ping said: ${output.slice(-500)}`);
  const lost = Number(sent) - Number(received);
  const without = missing(output, Number(sent));
  const gap = `${from.name} → ${address}: ${ranges(without)} of ${sent}`;
  return {
    sent: Number(sent),
    lost,
    gaps: lost === 0 ? [] : [gap],
    longestMs: longest(without) * INTERVAL_MS,
  };
}

/** 100 packets a second both ways, IPv4 and IPv6, while `work` runs and to the end of `seconds`. */
export async function underTraffic(
  a: Pod,
  b: Pod,
  seconds: number,
  work: () => Promise<void>,
): Promise<Loss> {
  const pings = [
    ping(a, b.v4 ?? '', seconds),
    ping(b, a.v4 ?? '', seconds),
    ping(a, b.v6 ?? '', seconds),
    ping(b, a.v6 ?? '', seconds),
  ];
  const worked = work();
  const results = await Promise.all(pings);
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
    process.stdout.write(`${lost} of ${sent} packets lost in ${seconds} s\n`);
    assert.ok(sent >= seconds * 400 * 0.9, `only ${sent} packets were sent in ${seconds} s`);
    if (lost === 0) return;
    losses.push(`${lost} of ${sent} (${gaps.join('; ')})`);
  }
  assert.fail(`packets were lost each time: ${losses.join(', ')}`);
}

/** Holds that no flow is without answers for longer than `ms`, in one of a few attempts, for the same reason. */
export async function assertResumes(
  a: Pod,
  b: Pod,
  seconds: number,
  ms: number,
  work: () => Promise<void>,
): Promise<void> {
  const said: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const { longestMs, gaps } = await underTraffic(a, b, seconds, work);
    process.stdout.write(`the longest gap was ${longestMs} ms\n`);
    if (longestMs <= ms * PATIENCE) return;
    said.push(`${longestMs} ms (${gaps.join('; ')})`);
  }
  assert.fail(`traffic stood still for more than ${ms} ms each time: ${said.join(', ')}`);
}
