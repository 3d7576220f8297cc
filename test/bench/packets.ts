/**
 * What policies cost packets, and how soon a change is in the kernel: a real agent with a thousand
 * policies about a thousand pods, and beside it one that has policies switched off. On each, client and
 * server stand on the one node, where nothing else slows them; the two are measured in turns.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentPolicyReport } from '../../agent/policy.ts';
import { NAMESPACES as NAMESPACE_KIND, NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import { type Lab, type Member, startLab, untilInstalled } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { buildProber, startProber } from '../policy/prober.ts';
import { NAMESPACES, rawPod, rawPolicy } from './policy.ts';
import { quantile, type Ratio, ratioOf } from './stats.ts';

export type Update = {
  readonly what: string;
  readonly times: number;
  /** Milliseconds from the API server's store to the kernel. */
  readonly median: number;
  readonly worst: number;
};

export type PacketBench = { readonly ratios: readonly Ratio[]; readonly updates: readonly Update[] };

const PODS_COUNT = 1_000;
const COUNTS = [100, 1_000] as const;
/** More than this would take too long. */
const MOST_PAIRS = 15;
const SECONDS = 1;

type Store = Lab['api']['store'];

const report = async (node: Member): Promise<AgentPolicyReport | undefined> =>
  ((await node.status()) as { readonly policy?: AgentPolicyReport } | undefined)?.policy;

const settled = (node: Member, policies: number): Promise<true> =>
  until(
    `${policies} policies in the kernel`,
    async () => {
      const now = await report(node);
      return now?.enabled && now.policies === policies && !now.dirty && now.error === undefined
        ? true
        : undefined;
    },
    60_000,
    100,
  );

/** Client and server may talk, whatever the others say; the second rule is the one whose pods change. */
const ALLOW = {
  metadata: { namespace: 'ns0', name: 'allow' },
  spec: {
    podSelector: {},
    ingress: [
      { from: [{ podSelector: { matchLabels: { end: 'yes' } } }] },
      { from: [{ podSelector: { matchLabels: { app: 'app1' } } }], ports: [{ port: 9 }] },
    ],
    egress: [{}],
    policyTypes: ['Ingress', 'Egress'],
  },
};

function furnish(store: Store): void {
  for (let n = 0; n < NAMESPACES; n += 1)
    store.create(NAMESPACE_KIND, undefined, { metadata: { name: `ns${n}`, labels: { team: `${n % 10}` } } });
  for (let n = 0; n < PODS_COUNT; n += 1) {
    const { metadata, spec, status } = rawPod(n);
    // A tenth of them on our node; their addresses are not wired, and count all the same.
    const nodeName = spec.nodeName === 'n0' ? 'node1' : spec.nodeName;
    const { uid: _, ...named } = metadata;
    const ips = [{ ip: `10.43.${n >> 8}.${n & 255}` }, status.podIPs[1]];
    store.create(PODS, metadata.namespace, { metadata: named, spec: { ...spec, nodeName } });
    store.patch(
      PODS,
      metadata.namespace,
      metadata.name,
      { status: { phase: 'Running', podIPs: ips } },
      'status',
    );
  }
}

function setPolicies(store: Store, count: number): number {
  const wanted =
    count === 0 ? [] : [ALLOW, ...Array.from({ length: count - 1 }, (_, n) => rawPolicy('own', n))];
  const names = new Set(wanted.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  for (const { metadata } of store.list(NETWORKPOLICIES)) {
    const name = `${String(metadata.namespace)}/${String(metadata.name)}`;
    if (!names.delete(name)) store.remove(NETWORKPOLICIES, String(metadata.namespace), String(metadata.name));
  }
  for (const policy of wanted)
    if (names.has(`${policy.metadata.namespace}/${policy.metadata.name}`))
      store.create(NETWORKPOLICIES, policy.metadata.namespace, policy as never);
  return wanted.length;
}

async function wirePod(store: Store, node: Member, name: string): Promise<Pod> {
  const made = store.create(PODS, 'ns0', {
    metadata: { name, labels: { end: 'yes' } },
    spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] },
  }) as { metadata: { uid: string } };
  const pod = await addPod(node, { name, namespace: 'ns0', uid: made.metadata.uid });
  store.patch(
    PODS,
    'ns0',
    name,
    { status: { phase: 'Running', podIPs: [{ ip: pod.v4 }, { ip: pod.v6 }] } },
    'status',
  );
  return pod;
}

type Iperf = {
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
  };
};

async function iperf(from: Namespace, to: Pod, more: readonly string[]): Promise<Iperf> {
  const server = to.namespace.start(['iperf3', '-s', '-1']);
  try {
    await sleep(150);
    return JSON.parse(
      await from.run(['iperf3', '-c', to.v4 ?? '', '-t', `${SECONDS}`, '-J', ...more]),
    ) as Iperf;
  } finally {
    server.kill('SIGKILL');
  }
}

type Sample = { readonly gbits: number; readonly packets: number; readonly connections: number };

async function sample(client: Pod, server: Pod, program: string): Promise<Sample> {
  const tcp = await iperf(client.namespace, server, []);
  // One way: no packet of it is ever "established", so each one runs all rules.
  const udp = await iperf(client.namespace, server, ['-u', '-b', '0', '-l', '64']);
  const rate = await client.namespace.run([program, 'rate', server.v4 ?? '', '80', `${SECONDS}`]);
  const { packets, lost_packets, seconds } = udp.end.sum;
  return {
    gbits: (tcp.end.sum_received?.bits_per_second ?? 0) / 1e9,
    packets: (packets - lost_packets) / seconds / 1e3,
    connections: Number(/rate (\d+)/.exec(rate)?.[1]) / 1e3,
  };
}

const METRICS = [
  ['gbits', 'Gbit/s'],
  ['packets', 'thousand 64-byte datagrams/s'],
  ['connections', 'thousand connections/s'],
] as const;

const ratiosOf = (count: number, ours: readonly Sample[], bare: readonly Sample[]): readonly Ratio[] =>
  METRICS.map(([field, unit]) =>
    ratioOf(
      `${count} policies / none`,
      unit,
      ours.map(one => one[field]),
      bare.map(one => one[field]),
    ),
  );

type News = { readonly next: () => Promise<number>; readonly end: () => void };

/** The kernel's own news of our table, as the agent gets them. */
async function listen(node: Member): Promise<News> {
  const monitor = node.namespace.start([`${node.binDir}/weft-cni`, 'monitor', 'p'], { stdio: 'pipe' });
  let heard = (_at: number): void => {};
  const next = (): Promise<number> => new Promise(resolve => (heard = resolve));
  const listening = next();
  monitor.stdout?.on('data', () => heard(performance.now()));
  await listening;
  return { next, end: () => void monitor.kill('SIGKILL') };
}

/** Of a change that never comes to the kernel. */
const TOO_LONG_MS = 3_000;

/** Milliseconds until the kernel tells of a change in our table. */
async function timed(news: News, change: () => void): Promise<number> {
  // The agent looks its last change over.
  await sleep(1_500);
  const done = news.next();
  const begin = performance.now();
  change();
  return (await Promise.race([done, sleep(TOO_LONG_MS).then(() => Number.POSITIVE_INFINITY)])) - begin;
}

async function updates(store: Store, node: Member, times: number): Promise<readonly Update[]> {
  const changes: readonly (readonly [string, (n: number) => void])[] = [
    [
      'a pod’s label',
      n => void store.patch(PODS, 'ns0', 'pod50', { metadata: { labels: { app: `app${n % 2}` } } }, 'main'),
    ],
    [
      'a policy',
      n =>
        n % 2 === 0
          ? void store.create(NETWORKPOLICIES, 'ns0', {
              metadata: { name: 'more' },
              spec: { podSelector: {}, ingress: [{ ports: [{ port: 9 }] }] },
            })
          : void store.remove(NETWORKPOLICIES, 'ns0', 'more'),
    ],
    [
      'a namespace’s label',
      n =>
        void store.patch(
          NAMESPACE_KIND,
          undefined,
          'ns7',
          { metadata: { labels: { team: n % 2 ? '7' : 'none' } } },
          'main',
        ),
    ],
  ];
  const all: Update[] = [];
  const news = await listen(node);
  for (const [what, change] of changes) {
    const ms: number[] = [];
    for (let n = 0; n < times; n += 1) ms.push(await timed(news, () => change(n)));
    all.push({ what, times, median: quantile(ms, 0.5), worst: Math.max(...ms) });
  }
  news.end();
  return all;
}

type Ends = { readonly client: Pod; readonly server: Pod; readonly stop: () => void };

async function wireEnds(store: Store, node: Member, program: string): Promise<Ends> {
  const client = await wirePod(store, node, `client-${node.name}`);
  const server = await wirePod(store, node, `server-${node.name}`);
  const echo = await startProber(server.namespace, program);
  return { client, server, stop: echo.end };
}

/** Must run inside a lab's namespaces. */
export async function benchPackets(pairs: number, say: (line: string) => void): Promise<PacketBench> {
  const program = buildProber();
  const lab = await startLab();
  try {
    const [node, bare] = [await lab.join(1), await lab.join(2)];
    await Promise.all([untilInstalled(node), untilInstalled(bare)]);
    await bare.stop();
    bare.start({ networkPolicy: false });
    await until('the agent without policies', async () => (await bare.status())?.ready || undefined);
    const { store } = lab.api;
    furnish(store);
    const [ends, bareEnds] = [await wireEnds(store, node, program), await wireEnds(store, bare, program)];
    const ratios: Ratio[] = [];
    for (const count of COUNTS) {
      await settled(node, setPolicies(store, count));
      const ours: Sample[] = [];
      const theirs: Sample[] = [];
      for (let n = 0; n < Math.min(pairs, MOST_PAIRS); n += 1) {
        ours.push(await sample(ends.client, ends.server, program));
        theirs.push(await sample(bareEnds.client, bareEnds.server, program));
      }
      ratios.push(...ratiosOf(count, ours, theirs));
      say(`${count} policies: done`);
    }
    const found = await updates(store, node, 10);
    ends.stop();
    bareEnds.stop();
    return { ratios, updates: found };
  } finally {
    await lab.end();
  }
}

export const printUpdate = ({ what, times, median, worst }: Update): string =>
  `${what}, from the API server to the kernel: median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} of ${times}`;
