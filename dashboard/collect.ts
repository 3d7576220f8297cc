/** Asks all agents again and again, some at a time, and remembers what each said last. */
import type { AgentRef, Agents } from '../command/agents.ts';
import { NO_POD } from '../command/reports.ts';
import { parseStatus } from './report.ts';
import type { Report } from './types.ts';

export type Collector = {
  /** Resolves once everybody was asked the first time, then at once. Rejects where no agent can be found. */
  readonly reports: () => Promise<readonly Report[]>;
  readonly stop: () => void;
};

export type CollectorOptions = {
  readonly open: () => Promise<Agents>;
  /** Milliseconds between the end of a round and the next one. */
  readonly pauseMs: number;
  /** Agents asked at the same time. */
  readonly atOnce: number;
  /** Only the agent of this node. */
  readonly only?: string | undefined;
};

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function ask(agents: Agents, ref: AgentRef, before: Report | undefined): Promise<Report> {
  const last = { node: ref.node, location: before?.location };
  if (ref.absent !== undefined) return { ...last, status: undefined, error: ref.absent };
  try {
    const status = parseStatus(await agents.get(ref.node, '/status'));
    return { node: ref.node, location: status.location, status, error: undefined };
  } catch (error) {
    return { ...last, status: undefined, error: message(error) };
  }
}

/** Whom the nodes have as peers. */
const named = (known: ReadonlyMap<string, Report>): ReadonlySet<string> =>
  new Set([...known.values()].flatMap(r => (r.status?.peers ?? []).map(peer => peer.node)));

const podless = (node: string, before: Report | undefined): Report => ({
  node,
  location: before?.location,
  status: undefined,
  error: NO_POD,
});

/** Each in turn, `atOnce` of them at a time. */
async function inTurn<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

export function openCollector({ open, pauseMs, atOnce, only }: CollectorOptions): Collector {
  let known = new Map<string, Report>();
  let failure: Error | undefined;
  let stopped = false;
  let wake = (): void => {};

  // Opened anew each round: a rollout changes the agents' pods.
  const round = async (): Promise<void> => {
    const agents = await open();
    try {
      const all = await agents.list();
      const refs = only === undefined ? all : all.filter(ref => ref.node === only);
      if (refs.length === 0)
        throw new Error(only ? `there is no weft agent on a node ${only}` : 'there is no weft agent');
      await inTurn(refs, atOnce, async ref => {
        known.set(ref.node, await ask(agents, ref, known.get(ref.node)));
      });
      const there = new Set(refs.map(ref => ref.node));
      const before = known;
      known = new Map([...known].filter(([node]) => there.has(node)));
      if (agents.kind === 'remote' && only === undefined)
        for (const node of named(known))
          if (!there.has(node)) known.set(node, podless(node, before.get(node)));
    } finally {
      agents.close();
    }
  };

  const once = (): Promise<void> =>
    round().then(
      () => {
        failure = undefined;
      },
      (error: unknown) => {
        failure = new Error(message(error));
      },
    );

  const pause = (): Promise<void> =>
    new Promise(resolve => {
      const timer = setTimeout(resolve, pauseMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const first = once();
  void (async () => {
    await first;
    while (!stopped) {
      await pause();
      if (!stopped) await once();
    }
  })();

  return {
    reports: async () => {
      await first;
      if (failure !== undefined) throw failure;
      return [...known.values()];
    },
    stop: () => {
      stopped = true;
      wake();
    },
  };
}
