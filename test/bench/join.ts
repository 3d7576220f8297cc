/** Time from a node's appearance to the first packet from every other node, at a number of nodes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { until } from '../lab/wait.ts';

export type JoinBench = {
  readonly nodes: number;
  /** Milliseconds, one a joining node: agent's start → a packet over the tunnel from each other node. */
  readonly allMs: readonly number[];
};

const reach = (from: Member, to: Member): Promise<boolean> =>
  from.namespace.run(['ping', '-n', '-c', '1', '-W', '0.2', `10.42.${to.number}.1`]).then(
    () => true,
    () => false,
  );

/** `nodes` stand already; then `rounds` join, one after the other. Inside a lab's namespaces. */
export async function benchJoin(
  nodes: number,
  rounds: number,
  say: (line: string) => void,
): Promise<JoinBench> {
  const lab = await startLab();
  try {
    for (let n = 1; n <= nodes; n += 1) await lab.join(n).then(m => untilInstalled(m, 30_000));
    await untilMeshed(lab.members(), 60_000);
    await sleep(4_000);
    const allMs: number[] = [];
    for (let n = 1; n <= rounds; n += 1) {
      const others = lab.members().slice(0, nodes);
      const began = performance.now();
      const joined = await lab.join(nodes + n);
      await Promise.all(
        others.map(other =>
          until(
            `${other.name} to reach ${joined.name}`,
            async () => (await reach(other, joined)) || undefined,
            30_000,
            10,
          ),
        ),
      );
      allMs.push(Math.round(performance.now() - began));
      say(`${joined.name} is reached by ${others.length} nodes after ${allMs.at(-1)} ms`);
      await sleep(1_000);
    }
    return { nodes, allMs };
  } finally {
    await lab.end();
  }
}
