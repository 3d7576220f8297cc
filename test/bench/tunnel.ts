/**
 * Throughput from pod to pod across nodes beside the bare tunnel of the same engine: the same two
 * hosts, the same tunnel, once from pod to pod and once from gateway address to gateway address.
 * Interleaved pairs, so that the machine's moods meet both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addPod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { type Ratio, ratioOf } from './stats.ts';

export type TunnelBench = { readonly engine: string; readonly pod: Ratio };

const SECONDS = 2;

type Iperf = { readonly end?: { readonly sum_received?: { readonly bits_per_second: number } } };

/** Mbit/s of one TCP stream; undefined where the two did not get together. */
async function once(from: Namespace, server: Namespace, address: string): Promise<number | undefined> {
  const daemon = server.start(['iperf3', '-s', '-1', '-B', address]);
  try {
    await sleep(150);
    const argv = ['iperf3', '-c', address, '-t', String(SECONDS), '-J', '--connect-timeout', '1000'];
    const output = JSON.parse(await from.run(argv)) as Iperf;
    const bits = output.end?.sum_received?.bits_per_second;
    return bits === undefined ? undefined : bits / 1e6;
  } catch {
    return undefined;
  } finally {
    daemon.kill('SIGKILL');
  }
}

const iperf = (from: Namespace, server: Namespace, address: string): Promise<number> =>
  until(`iperf3 to ${address}`, () => once(from, server, address), 30_000, 200);

async function pairs(
  lab: Lab,
  a: Member,
  b: Member,
  count: number,
  say: (line: string) => void,
): Promise<TunnelBench> {
  const [from, to] = [await addPod(a, 'from'), await addPod(b, 'to')];
  await untilMeshed([a, b]);
  const engine = (await a.status())?.engine.kind ?? 'none';
  const bare: number[] = [];
  const pod: number[] = [];
  for (let n = 0; n < count; n += 1) {
    bare.push(await iperf(a.namespace, b.namespace, '10.42.2.1'));
    pod.push(await iperf(from.namespace, to.namespace, to.v4 ?? ''));
    say(
      `pair ${n + 1} of ${count}: bare tunnel ${bare.at(-1)?.toFixed(0)}, pod to pod ${pod.at(-1)?.toFixed(0)} Mbit/s`,
    );
    await sleep(200);
  }
  void lab;
  return { engine, pod: ratioOf('pod to pod / bare tunnel', 'Mbit/s', pod, bare) };
}

/** Must run inside a lab's namespaces. */
export async function benchTunnel(count: number, say: (line: string) => void): Promise<TunnelBench> {
  const lab = await startLab();
  try {
    const [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
    await Promise.all([untilInstalled(a), untilInstalled(b)]);
    return await pairs(lab, a, b, count, say);
  } finally {
    await lab.end();
  }
}
