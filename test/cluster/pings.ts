/** Numbered pings between pods, a hundred a second, run from the nodes: neither kubelet nor API server carries them. */
import type { Cluster } from './cluster.ts';
import { inPodNetns, type TestPod } from './pods.ts';
import { sleep } from './process.ts';

export type Loss = { readonly path: string; readonly sent: number; readonly lost: number };

/** The last few may be on their way when ping is told to stop; at 100 a second these are 30 ms. */
const IN_FLIGHT = 3;

/** What ping printed, line by line, to its losses. @throws Error where it never got as far as a summary */
export const lossOf = (path: string, output: string): Loss => {
  const transmitted = /(\d+) packets transmitted/.exec(output)?.[1];
  if (transmitted === undefined) throw new Error(`${path}: ping said ${output.slice(-500)}`);
  const sent = Number(transmitted);
  const answered = new Set(Array.from(output.matchAll(/icmp_seq=(\d+) ttl/g), match => Number(match[1])));
  const certain = Array.from({ length: Math.max(0, sent - IN_FLIGHT) }, (_, index) => index + 1);
  return { path, sent, lost: certain.filter(sequence => !answered.has(sequence)).length };
};

const SCRIPT = `"$@" & ping=$!
until [ -e "$STOP" ]; do sleep 0.1; done
kill -INT $ping; wait $ping`;

let runs = 0;

const start = async (
  cluster: Cluster,
  from: TestPod,
  to: TestPod,
  ip: string,
  stop: string,
): Promise<Loss> => {
  const ping = inPodNetns(from, ['ping', '-n', '-i', '0.01', ip]);
  const argv = ['sh', '-c', SCRIPT, 'sh', ...ping];
  const output = await cluster.exec(from.node, argv, { timeoutMs: 240_000, env: { STOP: stop } });
  return lossOf(`${from.name} > ${to.name} ${ip}`, `${output.stdout}${output.stderr}`);
};

/** Pings each pair both ways and in both families while `work` runs, and half a second on either side. */
export const underPings = async (
  cluster: Cluster,
  pairs: readonly (readonly [TestPod, TestPod])[],
  work: () => Promise<void>,
): Promise<readonly Loss[]> => {
  runs += 1;
  const stop = `/run/stop-pings-${process.pid}-${runs}`;
  const ways = pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);
  const losses = ways.flatMap(([from, to]) => to.ips.map(ip => start(cluster, from, to, ip, stop)));
  const all = Promise.all(losses);
  // Where work fails, its error is the one to tell.
  all.catch(() => undefined);
  try {
    await Promise.race([sleep(500), all]);
    await work();
    await sleep(500);
  } finally {
    for (const { name } of cluster.nodes) await cluster.exec(name, ['touch', stop]);
  }
  return all;
};
