/** What ADD costs on a full node, and while the agent follows a large cluster that does not keep still. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Member, startLab, untilInstalled } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { until } from '../lab/wait.ts';
import { addPeers, move } from './cluster.ts';
import { weftList } from './lists.ts';
import { call, newId, newSide, type Side } from './plugin.ts';
import type { LoopDelay } from './probe.ts';
import { median, quantile, type Ratio, ratioOf } from './stats.ts';

export type ScaleBench = {
  readonly few: number;
  readonly many: number;
  /** ADD on the node with many pods to ADD on the one with few. */
  readonly add: Ratio;
  readonly del: Ratio;
};

export type Phase = { readonly add: Spread; readonly loop: LoopDelay };

export type BusyBench = {
  readonly nodes: number;
  /** Nodes whose endpoint changed while the ADDs were measured. */
  readonly changed: number;
  /** Without any news, and without an ADD. */
  readonly still: LoopDelay;
  readonly quiet: Phase;
  readonly busy: Phase;
};

export type Spread = { readonly p50: number; readonly p99: number };

const weftOn = (node: Member, pods: number): Promise<Side> =>
  newSide(node.namespace, weftList(node), { pods, services: 0 });

async function withNode<T>(work: (lab: Lab, node: Member) => Promise<T>): Promise<T> {
  const lab = await startLab();
  try {
    const node = await lab.join(1);
    await untilInstalled(node);
    return await work(lab, node);
  } finally {
    await lab.end();
  }
}

/** A node with `pods` pods, and one namespace more. */
async function filled(lab: Lab, number: number, pods: number): Promise<Side> {
  const node = await lab.join(number);
  await untilInstalled(node);
  const side = await weftOn(node, pods + 1);
  for (const pod of side.pods.slice(0, pods)) await call(side, 'ADD', newId(), pod);
  return side;
}

type Pair = { readonly add: number; readonly del: number };

async function oneMore(side: Side): Promise<Pair> {
  const [id, pod] = [newId(), side.pods.at(-1) as Namespace];
  const pair = { add: await call(side, 'ADD', id, pod), del: await call(side, 'DEL', id, pod) };
  // The link is removed after the answer.
  await sleep(40);
  return pair;
}

const REHEARSALS = 20;

/**
 * Inside a lab's namespaces. Two nodes, one nearly empty and one nearly full, get one pod more in
 * turns, so that the machine's moods meet both.
 */
export async function benchScale(many: number, pairs: number): Promise<ScaleBench> {
  const few = 10;
  const lab = await startLab();
  try {
    const sides = [await filled(lab, 1, few - 1), await filled(lab, 2, many - 1)] as const;
    for (let n = 0; n < REHEARSALS; n += 1) for (const side of sides) await oneMore(side);
    const empty: Pair[] = [];
    const full: Pair[] = [];
    for (let n = 0; n < pairs; n += 1)
      for (const [side, kept] of n % 2 === 0
        ? ([
            [sides[0], empty],
            [sides[1], full],
          ] as const)
        : ([
            [sides[1], full],
            [sides[0], empty],
          ] as const))
        kept.push(await oneMore(side));
    for (const side of sides) side.driver.end();
    const ratio = (what: string, field: keyof Pair): Ratio =>
      ratioOf(
        `${what}, the ${many}th pod to the ${few}th`,
        'ms',
        full.map(pair => pair[field]),
        empty.map(pair => pair[field]),
      );
    return { few, many, add: ratio('ADD', 'add'), del: ratio('DEL', 'del') };
  } finally {
    await lab.end();
  }
}

/** So many that the loop is looked at for seconds: of a few hundred looks six decide what p99 is. */
const ROUNDS = 400;

async function adds(side: Side): Promise<Spread> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const pod = side.pods[round % side.pods.length] as Namespace;
    const id = newId();
    times.push(await call(side, 'ADD', id, pod));
    await call(side, 'DEL', id, pod);
  }
  return { p50: median(times), p99: quantile(times, 0.99) };
}

/** What the agent's probe has found since it was asked last. */
async function askProbe(node: Member, file: string): Promise<LoopDelay> {
  rmSync(file, { force: true });
  node.agent()?.kill('SIGUSR2');
  await until('the probe to answer', async () => existsSync(file) || undefined, 10_000, 20);
  return JSON.parse(readFileSync(file, 'utf8')) as LoopDelay;
}

const STILL_MS = 15_000;

async function nothing(node: Member, file: string): Promise<LoopDelay> {
  await askProbe(node, file);
  await sleep(STILL_MS);
  return askProbe(node, file);
}

/** ADDs one after the other, and how late the agent's loop was meanwhile. */
async function phase(side: Side, node: Member, file: string): Promise<Phase> {
  await askProbe(node, file);
  const add = await adds(side);
  return { add, loop: await askProbe(node, file) };
}

/** Inside a lab's namespaces. */
export async function benchBusy(nodes: number, say: (line: string) => void): Promise<BusyBench> {
  const dir = mkdtempSync('/mnt/probe-');
  const file = join(dir, 'loop.json');
  process.env.WEFT_PROBE = file;
  process.env.NODE_OPTIONS = `--import ${join(import.meta.dirname, 'probe.ts')}`;
  return withNode(async (lab, node) => {
    addPeers(lab, 0, nodes);
    say(`the agent learns of ${nodes} nodes`);
    await until(
      'all nodes to be peers',
      async () => (await node.status())?.peers.length === nodes || undefined,
      180_000,
      500,
    );
    await sleep(3_000);
    const side = await weftOn(node, 20);
    await adds(side);
    await sleep(3_000);
    const still = await nothing(node, file);
    const quiet = await phase(side, node, file);
    const moving = move(lab, nodes);
    try {
      await sleep(1_000);
      const busy = await phase(side, node, file);
      return { nodes, changed: moving.moved(), still, quiet, busy };
    } finally {
      moving.stop();
      side.driver.end();
    }
  });
}
