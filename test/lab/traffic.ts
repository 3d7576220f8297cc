/** Numbered packets at a steady rate between two pods, and how many of them got no answer. */
import assert from 'node:assert/strict';
import type { Pod } from './runtime.ts';

export type Loss = { readonly sent: number; readonly lost: number };

const SUMMARY = /(\d+) packets transmitted, (\d+) received/;

async function ping(from: Pod, address: string, seconds: number): Promise<Loss> {
  const argv = ['ping', '-n', '-q', '-i', '0.01', '-c', String(seconds * 100), '-W', '2', address];
  const output = await from.namespace
    .run(argv, { timeoutMs: (seconds + 20) * 1000 })
    .catch(error => String(error.stdout));
  const [, sent, received] = SUMMARY.exec(output) ?? [];
  if (sent === undefined) throw new Error(`ping said: ${output}`);
  return { sent: Number(sent), lost: Number(sent) - Number(received) };
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
    const { sent, lost } = await underTraffic(a, b, seconds, work);
    process.stdout.write(`${lost} of ${sent} packets lost in ${seconds} s\n`);
    assert.ok(sent >= seconds * 400 * 0.9, `only ${sent} packets were sent in ${seconds} s`);
    if (lost === 0) return;
    losses.push(`${lost} of ${sent}`);
  }
  assert.fail(`packets were lost each time: ${losses.join(', ')}`);
}
