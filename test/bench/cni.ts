/**
 * ADD and DEL of weft beside plugins' `bridge` with `host-local`: the same driver, two hosts of one
 * machine with the same foreign tables, interleaved pairs. Times are from exec to answer.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt, isBuilt } from '../cluster/build.ts';
import { type Lab, startLab, untilInstalled } from '../lab/lab.ts';
import { type Namespace, newHost } from '../lab/namespace.ts';
import { NETWORK } from '../lab/runtime.ts';
import { call, newId, newSide, type Side } from './plugin.ts';
import { median, quantile, type Ratio, ratioOf } from './stats.ts';

export type Burst = {
  readonly what: string;
  readonly count: number;
  readonly atOnce: number;
  readonly oursP50: number;
  readonly oursP99: number;
  readonly theirsP50: number;
  readonly theirsP99: number;
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

const referenceConfig = (dir: string) => ({
  cniVersion: '1.0.0',
  name: 'reference',
  type: 'bridge',
  bridge: 'cni0',
  isGateway: true,
  ipam: {
    type: 'host-local',
    dataDir: join(dir, 'host-local'),
    ranges: [[{ subnet: '10.43.0.0/24' }], [{ subnet: 'fd43::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  },
});

const PODS = 100;

type Pair = { readonly add: number; readonly del: number };

async function once(side: Side, round: number): Promise<Pair> {
  const pod = side.pods[round % side.pods.length] as Namespace;
  const id = newId();
  const add = await call(side, 'ADD', id, pod);
  const del = await call(side, 'DEL', id, pod);
  return { add: add.ms, del: del.ms };
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
  return [ratio('ADD, weft to bridge+host-local', 'add'), ratio('DEL, weft to bridge+host-local', 'del')];
}

/** `count` calls, `atOnce` under way at any time; milliseconds of each. */
async function burst(side: Side, command: string, ids: readonly string[], atOnce: number): Promise<number[]> {
  const times: number[] = [];
  const queue = ids.map((id, n) => ({ id, pod: side.pods[n] as Namespace }));
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      times.push((await call(side, command, next.id, next.pod)).ms);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return times;
}

async function bursts(ours: Side, theirs: Side, atOnce: number): Promise<readonly Burst[]> {
  const ids = ours.pods.map(newId);
  const one = async (command: string): Promise<Burst> => {
    const us = await burst(ours, command, ids, atOnce);
    const them = await burst(theirs, command, ids, atOnce);
    return {
      what: command,
      count: ids.length,
      atOnce,
      oursP50: median(us),
      oursP99: quantile(us, 0.99),
      theirsP50: median(them),
      theirsP99: quantile(them, 0.99),
    };
  };
  return [await one('ADD'), await one('DEL')];
}

async function idle(side: Side, command: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 30; n += 1)
    times.push((await call(side, command, newId(), side.pods[0] as Namespace)).ms);
  return median(times);
}

async function measure(lab: Lab, plugins: string, options: CniBenchOptions): Promise<CniBench> {
  const { pairs, services, say } = options;
  const node = await lab.join(1);
  await untilInstalled(node);
  const reference = await newHost();
  say(`hosts and ${2 * PODS} pods, ${services} Services in foreign tables`);
  const ours = await newSide(node.namespace, join(node.binDir, 'weft-cni'), NETWORK, {
    pods: PODS,
    services,
  });
  const theirs = await newSide(reference, join(plugins, 'bridge'), referenceConfig(lab.dir), {
    pods: PODS,
    services,
  });
  try {
    await inTurns(ours, theirs, 5);
    say(`${pairs} interleaved pairs`);
    const ratios = await inTurns(ours, theirs, pairs);
    say(`${PODS} at 32 at once`);
    return {
      kind: 'measured',
      services,
      driverMs: await idle(ours, 'VERSION'),
      statusMs: await idle(ours, 'STATUS'),
      ratios,
      bursts: await bursts(ours, theirs, 32),
    };
  } finally {
    for (const side of [ours, theirs]) side.driver.end();
    await reference.end();
  }
}

/** Inside a lab's namespaces. */
export async function benchCni(options: CniBenchOptions): Promise<CniBench> {
  if (!isBuilt('cniPlugins') && !hasGo())
    return { kind: 'skipped', reason: 'the reference plugins are built with Go, and there is none' };
  const [plugins = ''] = await ensureBuilt(['cniPlugins'], options.say);
  const lab = await startLab();
  try {
    return await measure(lab, plugins, options);
  } finally {
    await lab.end();
  }
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;

export const printBurst = (b: Burst): string =>
  `${b.count} ${b.what}s, ${b.atOnce} at once: weft median ${ms(b.oursP50)}, p99 ${ms(b.oursP99)}; bridge+host-local median ${ms(b.theirsP50)}, p99 ${ms(b.theirsP99)}; p99 ratio ${(b.oursP99 / b.theirsP99).toFixed(3)}`;
