/**
 * ADD and DEL of weft beside the reference plugins: the same driver, hosts of one machine with the
 * same foreign tables, interleaved pairs. Times are from exec to answer.
 */
import { execFileSync } from 'node:child_process';
import { ensureBuilt, isBuilt, targetFolder } from '../cluster/build.ts';
import { type Lab, startLab, untilInstalled } from '../lab/lab.ts';
import { type Namespace, newHost } from '../lab/namespace.ts';
import { floorSide } from './floor.ts';
import { guardOthers, guardPods } from './guarded.ts';
import { referenceLists, weftList } from './lists.ts';
import { call, type List, newId, newSide, type Side, settled } from './plugin.ts';
import { median, quantile, type Ratio, ratioOf } from './stats.ts';

export type Burst = {
  readonly what: string;
  readonly count: number;
  readonly atOnce: number;
  readonly oursP50: number;
  readonly oursP99: number;
  readonly theirsP50: number;
  readonly theirsP99: number;
  /** From the first call until the kernel is done with all; median of the bursts. */
  readonly oursAllMs: number;
  readonly theirsAllMs: number;
};

export type CniBench =
  | { readonly kind: 'skipped'; readonly reason: string }
  | {
      readonly kind: 'measured';
      readonly services: number;
      /** Milliseconds of the driver's own: exec of a static program that answers at once. */
      readonly driverMs: number;
      readonly statusMs: number;
      readonly ratios: readonly Ratio[];
      readonly bursts: readonly Burst[];
    };

export type CniBenchOptions = {
  readonly pairs: number;
  readonly services: number;
  readonly say: (line: string) => void;
};

const hasGo = (): boolean => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const PODS = 100;

type Pair = { readonly add: number; readonly del: number };

/** The kernel takes the link away after weft's answer, and holds meanwhile the lock that the next ADD of either would wait for. */
async function once(side: Side, round: number): Promise<Pair> {
  const pod = side.pods[round % side.pods.length] as Namespace;
  const id = newId();
  const pair = { add: await call(side, 'ADD', id, pod), del: await call(side, 'DEL', id, pod) };
  await settled(side);
  return pair;
}

/** In turns, and each side first as often as the other. */
async function inTurns(ours: Side, theirs: Side, pairs: number): Promise<readonly Ratio[]> {
  const us: Pair[] = [];
  const them: Pair[] = [];
  for (let round = 0; round < pairs; round += 1)
    for (const [side, kept] of round % 2 === 0
      ? ([
          [ours, us],
          [theirs, them],
        ] as const)
      : ([
          [theirs, them],
          [ours, us],
        ] as const))
      kept.push(await once(side, round));
  const ratio = (what: string, field: keyof Pair): Ratio =>
    ratioOf(
      what,
      'ms',
      us.map(pair => pair[field]),
      them.map(pair => pair[field]),
    );
  const versus = `${ours.list.title} to ${theirs.list.title}`;
  return [ratio(`ADD, ${versus}`, 'add'), ratio(`DEL, ${versus}`, 'del')];
}

/** `count` calls, `atOnce` under way at any time; milliseconds of each. */
async function burst(side: Side, command: string, ids: readonly string[], atOnce: number): Promise<number[]> {
  const times: number[] = [];
  const queue = ids.map((id, n) => ({ id, pod: side.pods[n] as Namespace }));
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      times.push(await call(side, command, next.id, next.pod));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return times;
}

type Times = { readonly each: readonly number[]; readonly allMs: number };
type Both = { readonly ADD: Times; readonly DEL: Times };

async function burstOf(side: Side, atOnce: number): Promise<Both> {
  const ids = side.pods.map(newId);
  const began = performance.now();
  const adds = await burst(side, 'ADD', ids, atOnce);
  const added = performance.now();
  const dels = await burst(side, 'DEL', ids, atOnce);
  await settled(side);
  return {
    ADD: { each: adds, allMs: added - began },
    DEL: { each: dels, allMs: performance.now() - added },
  };
}

/** In turns as well. */
const BURSTS = 3;

async function bursts(ours: Side, theirs: Side, atOnce: number): Promise<readonly Burst[]> {
  const all: { readonly ours: Both; readonly theirs: Both }[] = [];
  for (let round = 0; round < BURSTS; round += 1)
    all.push({ ours: await burstOf(ours, atOnce), theirs: await burstOf(theirs, atOnce) });
  const one = (command: 'ADD' | 'DEL'): Burst => {
    const us = all.flatMap(round => round.ours[command].each);
    const them = all.flatMap(round => round.theirs[command].each);
    return {
      what: command,
      count: PODS * BURSTS,
      atOnce,
      oursP50: median(us),
      oursP99: quantile(us, 0.99),
      theirsP50: median(them),
      theirsP99: quantile(them, 0.99),
      oursAllMs: median(all.map(round => round.ours[command].allMs)),
      theirsAllMs: median(all.map(round => round.theirs[command].allMs)),
    };
  };
  return [one('ADD'), one('DEL')];
}

async function idle(side: Side, command: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 30; n += 1) times.push(await call(side, command, newId(), side.pods[0] as Namespace));
  return median(times);
}

/** What is left where a plugin does nothing itself: no other can be below it. */
async function floorOf(list: List, options: CniBenchOptions): Promise<readonly Ratio[]> {
  const floor = await floorSide(options.services);
  try {
    return (await against(floor, list, options, false)).ratios.filter(({ what }) => what.startsWith('ADD'));
  } finally {
    floor.driver.end();
    await floor.host.end();
  }
}

/** The lists take turns with `ours` one after the other, each on a host of its own. */
async function against(ours: Side, list: List, options: CniBenchOptions, burstToo: boolean) {
  const { pairs, services, say } = options;
  const host = await newHost();
  const theirs = await newSide(host, list, { pods: burstToo ? PODS : 10, services });
  try {
    await inTurns(ours, theirs, 5);
    say(`${pairs} interleaved pairs, ${ours.list.title} and ${list.title}`);
    const ratios = await inTurns(ours, theirs, pairs);
    if (burstToo) say(`${PODS} pods, 32 at once`);
    return { ratios, bursts: burstToo ? await bursts(ours, theirs, 32) : [] };
  } finally {
    theirs.driver.end();
    await host.end();
  }
}

async function measure(lab: Lab, plugins: string, options: CniBenchOptions): Promise<CniBench> {
  const { services, say } = options;
  const node = await lab.join(1);
  await untilInstalled(node);
  say(`making pods, and ${services} Services in foreign tables`);
  const ours = await newSide(node.namespace, weftList(node), { pods: PODS, services });
  await guardPods(lab, node, PODS);
  const ratios: Ratio[] = [];
  const all: Burst[] = [];
  try {
    for (const [n, list] of referenceLists(plugins, lab.dir).entries()) {
      const one = await against(ours, list, options, n === 0);
      ratios.push(...one.ratios);
      all.push(...one.bursts);
    }
    await guardOthers(lab, node);
    const [first] = referenceLists(plugins, lab.dir);
    const unselected = await against(ours, first, { ...options, say: () => {} }, false);
    const floor = await floorOf(first, options);
    say(`${options.pairs} pairs more, with a policy that selects other pods`);
    ratios.push(
      ...unselected.ratios.map(one => ({ ...one, what: `${one.what}, the policy selects others` })),
      ...floor,
    );
    return {
      kind: 'measured',
      services,
      driverMs: await idle(ours, 'VERSION'),
      statusMs: await idle(ours, 'STATUS'),
      ratios,
      bursts: all,
    };
  } finally {
    ours.driver.end();
  }
}

/** To be called outside of the lab, which has no network to fetch modules by. */
export async function prepareCni(say: (line: string) => void): Promise<void> {
  if (hasGo()) await ensureBuilt(['cniPlugins'], say);
}

/** Inside a lab's namespaces. */
export async function benchCni(options: CniBenchOptions): Promise<CniBench> {
  if (!isBuilt('cniPlugins'))
    return { kind: 'skipped', reason: 'the reference plugins are built with Go, and there is none' };
  const plugins = targetFolder('cniPlugins');
  const lab = await startLab();
  try {
    return await measure(lab, plugins, options);
  } finally {
    await lab.end();
  }
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;

export const printBurst = (b: Burst): string =>
  `${b.count} ${b.what}s, ${b.atOnce} at once: weft median ${ms(b.oursP50)}, p99 ${ms(b.oursP99)}; bridge+host-local median ${ms(b.theirsP50)}, p99 ${ms(b.theirsP99)}; p99 ratio ${(b.oursP99 / b.theirsP99).toFixed(3)}; ${PODS} of them done after ${ms(b.oursAllMs)} and ${ms(b.theirsAllMs)}`;
