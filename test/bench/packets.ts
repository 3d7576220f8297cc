/**
 * What policies cost packets: real agents with a thousand policies
 * about a thousand pods, and streams between pods of one node, where nothing else slows them, and through
 * the tunnel. The hook that asks the policies is taken off and put back many times under the same stream.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { POLICY_TABLE, VETH_PREFIX } from '../../constants.ts';
import { NAMESPACES as NAMESPACE_KIND, NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { buildProber, startProber } from '../policy/prober.ts';
import { settled } from './guarded.ts';
import { NAMESPACES, rawPod, rawPolicy } from './policy.ts';
import { inTurns, ranMs, sentBy } from './slices.ts';
import { type Ratio, ratioOf } from './stats.ts';
import { type Update, updates } from './updates.ts';

export type PacketBench = { readonly ratios: readonly Ratio[]; readonly updates: readonly Update[] };

const PODS_COUNT = 1_000;
const COUNTS = [100, 1_000] as const;

type Store = Lab['api']['store'];

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

/** Streams between two pods; `field` of what the server's link has sent is what is counted. */
const STREAMS = [
  { what: 'one TCP stream', field: 'bytes', unit: 'MB/s', size: 1e6, command: ['iperf3', '-c'] },
  {
    // One way: no packet of it is ever "established", so each one runs all rules.
    what: '64-byte datagrams one way',
    field: 'packets',
    unit: 'thousand/s',
    size: 1e3,
    command: ['iperf3', '-u', '-b', '0', '-l', '64', '-c'],
  },
  // Three packets each: SYN, ACK, RST.
  { what: 'TCP connections', field: 'packets', unit: 'thousand/s', size: 3e3, command: undefined },
] as const;

type Stream = (typeof STREAMS)[number];

/** Longer than any measurement. */
const FOREVER = '900';

type Ends = { readonly client: Pod; readonly server: Pod; readonly at: Member; readonly program: string };

const hostLink = ({ result }: Pod): string =>
  result.interfaces.find(({ name, sandbox }) => !sandbox && name.startsWith(VETH_PREFIX))?.name ?? '';

type Running = { readonly sender: number | undefined; readonly end: () => void };

/** Until it is ended. */
async function begin({ client, server, program }: Ends, { command }: Stream): Promise<Running> {
  const to = server.v4 ?? '';
  if (command === undefined) {
    const echo = await startProber(server.namespace, program);
    const caller = client.namespace.start([program, 'rate', to, '80', FOREVER]);
    const end = (): void => {
      caller.kill('SIGKILL');
      echo.end();
    };
    return { sender: caller.pid, end };
  }
  const listening = server.namespace.start(['iperf3', '-s', '-1']);
  await sleep(300);
  const calling = client.namespace.start([...command, to, '-t', FOREVER]);
  const end = (): void => {
    for (const one of [calling, listening]) one.kill('SIGKILL');
  };
  return { sender: calling.pid, end };
}

/** The hook that asks the policies, taken off and put back as it was; its agent must be away, which would mend it. */
async function hookOf({ namespace }: Member): Promise<(on: boolean) => Promise<unknown>> {
  const chain = await namespace.run(['nft', 'list', 'chain', 'inet', POLICY_TABLE, 'forward']);
  let there = true;
  return async on => {
    if (on === there) return;
    there = on;
    const text = on ? chain : `delete chain inet ${POLICY_TABLE} forward\n`;
    await namespace.run(['nft', '-f', '-'], { stdin: text });
  };
}

/** A stream with the hook and without it, on all nodes that it passes. */
async function compare(
  label: string,
  stream: Stream,
  ends: Ends,
  hooks: readonly ((on: boolean) => Promise<unknown>)[],
  pairs: number,
): Promise<readonly Ratio[]> {
  const { sender, end } = await begin(ends, stream);
  try {
    await sleep(1_000);
    const link = hostLink(ends.server);
    const { byClock, byProcessor } = await inTurns(
      pairs,
      () => ({
        count: sentBy(ends.at.namespace, link)[stream.field] / stream.size,
        ranMs: ranMs(sender),
      }),
      way => Promise.all(hooks.map(turn => turn(way))),
    );
    const what = `${stream.what}, ${label} / none`;
    return [
      ratioOf(what, stream.unit, byClock.on, byClock.off),
      ratioOf(`${what}, by the sender’s processor time`, stream.unit, byProcessor.on, byProcessor.off),
    ];
  } finally {
    end();
    await sleep(200);
  }
}

/** Must run inside a lab's namespaces. */
export async function benchPackets(pairs: number, say: (line: string) => void): Promise<PacketBench> {
  const program = buildProber();
  const lab = await startLab();
  try {
    const nodes = [await lab.join(1), await lab.join(2)] as const;
    const [node, other] = nodes;
    await Promise.all(nodes.map(one => untilInstalled(one)));
    await untilMeshed(nodes);
    const { store } = lab.api;
    furnish(store);
    const client = await wirePod(store, node, 'client');
    const near: Ends = { client, server: await wirePod(store, node, 'near'), at: node, program };
    const far: Ends = { client, server: await wirePod(store, other, 'far'), at: other, program };
    const ratios: Ratio[] = [];
    for (const count of COUNTS) {
      const policies = setPolicies(store, count);
      await Promise.all(nodes.map(one => settled(one, policies)));
      await Promise.all(nodes.map(one => one.stop()));
      const hooks = await Promise.all(nodes.map(hookOf));
      const label = `${count} policies`;
      for (const stream of STREAMS)
        ratios.push(...(await compare(label, stream, near, hooks.slice(0, 1), pairs)));
      if (count === COUNTS.at(-1))
        // Most of it is the engine's time, not the sender's.
        ratios.push(
          ...(await compare(`${label}, through the tunnel`, STREAMS[0], far, hooks, pairs)).slice(0, 1),
        );
      for (const one of nodes) one.start();
      await Promise.all(nodes.map(one => settled(one, policies)));
      say(`${count} policies: done`);
    }
    return { ratios, updates: await updates(store, node, 10) };
  } finally {
    await lab.end();
  }
}
