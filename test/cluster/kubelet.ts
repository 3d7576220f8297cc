/** A kubelet that stands still: while it runs it removes within seconds every sandbox that it does not know. */
import type { Cluster } from './cluster.ts';
import { inNode } from './pods.ts';

/** A node is NotReady after 50 s of this. @returns how long it took, in milliseconds */
export const withoutKubelet = async (
  cluster: Cluster,
  node: string,
  work: () => Promise<void>,
): Promise<number> => {
  const tell = (signal: string) =>
    inNode(cluster, node, [
      'sh',
      '-euc',
      `kill -${signal} $(grep -lx kubelet /proc/[0-9]*/comm | cut -d/ -f3)`,
    ]);
  await tell('STOP');
  const from = Date.now();
  try {
    await work();
  } finally {
    await tell('CONT');
  }
  return Date.now() - from;
};
