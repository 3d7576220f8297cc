/** What a node costs while nothing happens, in a small mesh and in a large one: processor time by process. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { until } from '../lab/wait.ts';
import { asInImage } from './bundled.ts';
import { addPeers } from './cluster.ts';

/** Percent of one core; what the agent did meanwhile, a minute. */
export type Idle = {
  readonly when: string;
  readonly seconds: number;
  readonly agent: number;
  /** Monitor, runner, and the programs that it started. */
  readonly children: number;
  readonly wireguardGo: number;
  readonly passes: number;
  readonly programs: number;
};

/** First tries of peers and paths are over. */
const REST_MS = 30_000;
const MEASURE_MS = 60_000;

/** USER_HZ, the same on all of Linux. */
const TICKS = 100;

type Process = { readonly pid: number; readonly name: string; readonly ticks: number };

/** With what its children used that have ended. */
function processAt(pid: number): Process {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid, name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')), ticks };
}

/** Processes of the node's network namespace. */
function processesOf(node: Member): readonly Process[] {
  const netns = readlinkSync(node.namespace.netns);
  return readdirSync('/proc').flatMap(name => {
    try {
      return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/ns/net`) === netns
        ? [processAt(Number(name))]
        : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

type Count = { readonly agent: number; readonly children: number; readonly wireguardGo: number };

function count(node: Member): Count {
  const all = processesOf(node);
  const sum = (which: (process: Process) => boolean): number =>
    all.filter(which).reduce((total, { ticks }) => total + ticks, 0);
  return {
    agent: sum(({ pid }) => pid === node.agent()?.pid),
    children: sum(({ name }) => name.startsWith('weft-cni')),
    wireguardGo: sum(({ name }) => name === 'wireguard-go'),
  };
}

async function measure(when: string, node: Member): Promise<Idle> {
  await sleep(REST_MS);
  const begun = { at: performance.now(), ticks: count(node), work: (await node.status())?.reconcile };
  await sleep(MEASURE_MS);
  const ticks = count(node);
  const seconds = (performance.now() - begun.at) / 1_000;
  const work = (await node.status())?.reconcile;
  const percent = (which: keyof Count): number =>
    ((ticks[which] - begun.ticks[which]) / TICKS / seconds) * 100;
  const aMinute = (which: 'runs' | 'spawns'): number =>
    (((work?.[which] ?? 0) - (begun.work?.[which] ?? 0)) / seconds) * 60;
  return {
    when,
    seconds,
    agent: percent('agent'),
    children: percent('children'),
    wireguardGo: percent('wireguardGo'),
    passes: aMinute('runs'),
    programs: aMinute('spawns'),
  };
}

async function small(lab: Lab): Promise<Idle> {
  for (const number of [1, 2, 3]) await lab.join(number);
  await untilMeshed(lab.members(), 60_000);
  return measure('3 nodes', lab.members()[0] as Member);
}

async function large(lab: Lab, nodes: number): Promise<Idle> {
  const node = await lab.join(1);
  await untilInstalled(node);
  addPeers(lab, 0, nodes - 1);
  await until(
    `${nodes} nodes`,
    async () => (await node.status())?.peers.length === nodes - 1 || undefined,
    180_000,
    500,
  );
  return measure(`${nodes} nodes, of which ${nodes - 1} never answer`, node);
}

/** Inside a lab's namespaces. `clear`: between two labs. */
export async function benchIdle(
  say: (line: string) => void,
  clear: () => Promise<void>,
): Promise<readonly Idle[]> {
  const found: Idle[] = [];
  await asInImage(async () => {
    for (const work of [small, (lab: Lab) => large(lab, 1_000)]) {
      const lab = await startLab();
      try {
        const idle = await work(lab);
        found.push(idle);
        say(printIdle(idle));
      } finally {
        await lab.end();
        await clear();
      }
    }
  });
  return found;
}

const percent = (share: number): string => `${share.toFixed(2)} %`;

export const printIdle = (idle: Idle): string =>
  `${idle.when}, ${idle.seconds.toFixed(0)} s without news: agent ${percent(idle.agent)} of a core, its programs ${percent(idle.children)}, wireguard-go ${percent(idle.wireguardGo)}; ${idle.passes.toFixed(1)} passes and ${idle.programs.toFixed(1)} programs a minute`;
