/** Memory of the agent, bundled and started as in the image, in clusters of several sizes. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Member, startLab, untilInstalled } from '../lab/lab.ts';
import { until } from '../lab/wait.ts';
import { asInImage } from './bundled.ts';
import { addPeers, addPolicies, move } from './cluster.ts';

/** Megabytes as the kernel counts them: all, and what is the process's own. */
export type Memory = {
  readonly when: string;
  readonly rssMb: number;
  readonly ownMb: number;
  readonly peakMb: number;
};

const MOVE_MS = 20_000;

function memoryOf(node: Member, when: string): Memory {
  const text = readFileSync(`/proc/${node.agent()?.pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1_024;
  return { when, rssMb: field('VmRSS'), ownMb: field('RssAnon'), peakMb: field('VmHWM') };
}

/** Passes of the first list are over, and what a collection of garbage gives back at once has been given. */
const REST_MS = 10_000;

async function peersOf(node: Member, count: number): Promise<void> {
  await until(
    `${count} peers`,
    async () => (await node.status())?.peers.length === count || undefined,
    180_000,
    1_000,
  );
  await sleep(REST_MS);
}

type Watches = {
  readonly policy: { readonly watches: Readonly<Record<string, { readonly count: number }>> };
};

async function knowsPolicies(node: Member): Promise<true | undefined> {
  const status = (await node.status()) as unknown as Watches | undefined;
  const full = Object.values(status?.policy.watches ?? {}).filter(({ count }) => count >= 1_000);
  return full.length >= 2 || undefined;
}

async function grow(lab: Lab, sizes: readonly number[], keep: (memory: Memory) => void): Promise<void> {
  const node = await lab.join(1);
  await untilInstalled(node);
  for (const [n, size] of sizes.entries()) {
    addPeers(lab, (sizes[n - 1] ?? 1) - 1, size - 1);
    await peersOf(node, size - 1);
    keep(memoryOf(node, `${size} nodes`));
  }
  const largest = sizes.at(-1) as number;
  const moving = move(lab, largest - 1);
  await sleep(MOVE_MS);
  moving.stop();
  keep(memoryOf(node, `${largest} nodes, after ${moving.moved()} moves`));
  await node.stop();
  node.start();
  await peersOf(node, largest - 1);
  keep(memoryOf(node, `${largest} nodes, started again`));
  addPolicies(lab, 1_000, 1_000);
  await until('the policies and pods to be known', () => knowsPolicies(node), 60_000, 500);
  await sleep(REST_MS);
  keep(memoryOf(node, `${largest} nodes, 1000 policies, 1000 pods on other nodes`));
}

/** Inside a lab's namespaces. */
export const benchMemory = (say: (line: string) => void): Promise<readonly Memory[]> =>
  asInImage(async () => {
    const lab = await startLab();
    const found: Memory[] = [];
    try {
      await grow(lab, [3, 100, 1_000], memory => {
        found.push(memory);
        say(printMemory(memory));
      });
      return found;
    } finally {
      await lab.end();
    }
  });

export const printMemory = (m: Memory): string =>
  `${m.when}: ${m.rssMb.toFixed(0)} MB, of these its own ${m.ownMb.toFixed(0)}; at most so far ${m.peakMb.toFixed(0)}`;
