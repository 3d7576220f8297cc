/** Two nodes with real agents and nine pods in three namespaces, each with echoes; policies as API objects. */
import type { AgentPolicyReport } from '../../agent/policy.ts';
import { evaluate } from '../../policy/evaluate.ts';
import type { Cluster } from '../../policy/types.ts';
import type { Ip } from '../../types.ts';
import { NAMESPACES, NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addPod, deletePod, type Pod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { NODE_FACTS, toNamespace, toPod, toPolicy } from './clusters.ts';
import { buildProber, type Prober, type Protocol, startProber } from './prober.ts';

export type LabPod = {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: Member;
  readonly pod: Pod;
  readonly prober: Prober;
};

type Json = Readonly<Record<string, unknown>>;

export type PolicyLab = {
  readonly lab: Lab;
  readonly nodes: readonly Member[];
  readonly pods: () => ReadonlyMap<string, LabPod>;
  readonly add: (options: AddOptions) => Promise<LabPod>;
  readonly remove: (key: string) => Promise<void>;
  /** Makes policies, and waits until both agents have them in the kernel. */
  readonly policies: (objects: readonly PolicyObject[]) => Promise<void>;
  /** Waits until both agents have all of now in the kernel. */
  readonly settled: () => Promise<void>;
  readonly clear: () => Promise<void>;
  readonly end: () => Promise<void>;
};

export type PolicyObject = Json & {
  readonly metadata: { readonly namespace?: string; readonly name: string };
};

export type AddOptions = {
  readonly namespace: string;
  readonly name: string;
  readonly node: Member;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** What the runtime says; that of the object unless given. */
  readonly uid?: string;
  /** Ports of the object's container. */
  readonly ports?: readonly Json[];
  /** The API object is made this much later than the ADD is begun. */
  readonly before?: (namespace: Namespace) => Promise<void>;
};

export const NAMESPACE_NAMES = ['x', 'y', 'z'] as const;
export const POD_NAMES = ['a', 'b', 'c'] as const;

const PORTS: readonly Json[] = [80, 81].flatMap(port =>
  (['TCP', 'UDP', 'SCTP'] as const).map(protocol => ({
    name: `serve-${port}-${protocol.toLowerCase()}`,
    containerPort: port,
    protocol,
  })),
);

const objectOf = ({ name, node, labels = { pod: name }, annotations, ports = PORTS }: AddOptions): Json => ({
  metadata: { name, labels, ...(annotations && { annotations }) },
  spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i', ports }] },
});

type WithPolicy = { readonly policy?: AgentPolicyReport };

const reportOf = async (node: Member): Promise<(AgentPolicyReport & { enabled: true }) | undefined> => {
  const report = ((await node.status()) as WithPolicy | undefined)?.policy;
  return report?.enabled ? report : undefined;
};

export async function startPolicyLab(
  names: readonly string[] = POD_NAMES,
  settings: Json = {},
): Promise<PolicyLab> {
  const program = buildProber();
  const lab = await startLab();
  return furnish(lab, program, names, settings).catch(async error => {
    await lab.end();
    throw error;
  });
}

async function furnish(
  lab: Lab,
  program: string,
  names: readonly string[],
  settings: Json,
): Promise<PolicyLab> {
  const nodes = [await lab.join(1), await lab.join(2)];
  if (Object.keys(settings).length > 0)
    for (const node of nodes) {
      await node.stop();
      node.start(settings);
    }
  await Promise.all(nodes.map(node => untilInstalled(node)));
  const { store } = lab.api;
  const pods = new Map<string, LabPod>();
  for (const name of NAMESPACE_NAMES)
    store.create(NAMESPACES, undefined, {
      metadata: { name, labels: { ns: name, 'kubernetes.io/metadata.name': name } },
    });

  const show = (options: AddOptions, pod: Pod): void => {
    const podIPs = [pod.v4, pod.v6].filter(Boolean).map(ip => ({ ip }));
    store.patch(
      PODS,
      options.namespace,
      options.name,
      { status: { phase: 'Running', podIP: pod.v4, podIPs } },
      'status',
    );
  };

  const add: PolicyLab['add'] = async options => {
    const { namespace, name, node } = options;
    const object = store.create(PODS, namespace, objectOf(options)) as { metadata: { uid: string } };
    const uid = options.uid ?? object.metadata.uid;
    const pod = await addPod(node, { name, namespace, uid }, options.before);
    show(options, pod);
    const made: LabPod = {
      key: `${namespace}/${name}`,
      namespace,
      name,
      uid: object.metadata.uid,
      node,
      pod,
      prober: await startProber(pod.namespace, program),
    };
    pods.set(made.key, made);
    return made;
  };

  const remove = async (key: string): Promise<void> => {
    const gone = pods.get(key);
    if (gone === undefined) return;
    pods.delete(key);
    gone.prober.end();
    await deletePod(gone.node, gone.pod);
    const shown = store.list(PODS).some(({ metadata }) => metadata.uid === gone.uid);
    if (shown) store.remove(PODS, gone.namespace, gone.name);
  };

  const newest = new Map<string, number>();
  // Of pods that have ended no other node's watch tells.
  const ended = (object: Json | undefined): boolean =>
    /Succeeded|Failed/.test(String((object?.status as Json | undefined)?.phase));
  store.subscribe(({ plural, version, before }) => {
    if (!ended(before)) newest.set(plural, version);
  });

  /** Every watch has seen the last change of its kind, and nothing of it is under way. */
  const isSettled = async (node: Member): Promise<boolean> => {
    const report = await reportOf(node);
    if (report === undefined || report.dirty || report.error !== undefined || !report.known) return false;
    const { networkpolicies, ownPods, otherPods, namespaces } = report.watches;
    const seen = (plural: string, ...versions: readonly (string | undefined)[]): boolean =>
      Math.max(...versions.map(Number).filter(Number.isFinite), 0) >= (newest.get(plural) ?? 0);
    if (!seen('networkpolicies', networkpolicies?.version)) return false;
    // A list that lost most of them is held for ten seconds.
    if (networkpolicies?.count !== store.list(NETWORKPOLICIES).length) return false;
    if (networkpolicies.count === 0) return report.policies === 0;
    return (
      otherPods?.synced === true &&
      seen('pods', ownPods?.version, otherPods?.version) &&
      seen('namespaces', namespaces?.version)
    );
  };

  const settled = async (): Promise<void> => {
    for (const node of nodes)
      await until(
        `${node.name} to have all policies`,
        async () => (await isSettled(node)) || undefined,
        30_000,
        15,
      );
  };

  const apply: PolicyLab['policies'] = async objects => {
    for (const object of objects) store.create(NETWORKPOLICIES, object.metadata.namespace ?? 'x', object);
    await settled();
  };

  const clear = async (): Promise<void> => {
    for (const { metadata } of store.list(NETWORKPOLICIES))
      store.remove(NETWORKPOLICIES, String(metadata.namespace), String(metadata.name));
    await settled();
  };

  await Promise.all(
    NAMESPACE_NAMES.flatMap((namespace, i) =>
      names.map((name, j) => add({ namespace, name, node: nodes[(i * names.length + j) % 2] as Member })),
    ),
  );
  await untilMeshed(nodes);

  const end = async (): Promise<void> => {
    for (const { prober } of pods.values()) prober.end();
    await lab.end();
  };
  return { lab, nodes, pods: () => pods, add, remove, policies: apply, settled, clear, end };
}

/** `x/a→y/b`. */
export const pairName = (from: LabPod, to: LabPod): string => `${from.key}→${to.key}`;

export type Probe = {
  readonly from: LabPod;
  readonly to: LabPod;
  readonly ip: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** What it shall be: one that shall pass is waited for longer. */
  readonly allowed: boolean;
};

/** On a loaded machine an answer may take long; a packet that is dropped never has one. */
const PATIENCE_MS = { true: 8_000, false: 250 } as const;

/** All at once; what was not as it shall be, in words. */
export async function wrongOf(probes: readonly Probe[]): Promise<readonly string[]> {
  const said = await Promise.all(
    probes.map(async ({ from, to, ip, protocol, port, allowed }) => {
      const { ok } = await from.prober.try(protocol, ip, port, PATIENCE_MS[`${allowed}`]);
      if (ok === allowed) return [];
      return [
        `${pairName(from, to)} ${protocol}/${port} at ${ip}: ${ok ? 'passes' : 'is dropped'}, but must ${allowed ? 'pass' : 'not'}`,
      ];
    }),
  );
  return said.flat().sort();
}

/** What the API server shows, as an agent on that node knows it. */
export function clusterOf({ lab }: PolicyLab, self: string): Cluster {
  const { store } = lab.api;
  return {
    self,
    policies: store.list(NETWORKPOLICIES).map(toPolicy),
    pods: store.list(PODS).map(toPod),
    namespaces: store.list(NAMESPACES).map(toNamespace),
    nodes: NODE_FACTS,
    unknown: [],
  };
}

const NAMES = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP', icmp: 'ICMP' } as const;

/** Both ends' nodes must let it pass. */
export const mayPass = (clusters: readonly Cluster[], probe: Omit<Probe, 'allowed'>): boolean => {
  const { from, ip, protocol, port } = probe;
  const src = (ip.includes(':') ? from.pod.v6 : from.pod.v4) as Ip;
  const packet = { src, dst: ip as Ip, protocol: NAMES[protocol], port: protocol === 'icmp' ? 0 : port };
  return clusters.every(cluster => evaluate(cluster, packet).allowed);
};

/** Every pod to every other one, at these protocols and ports, both families. */
export function everyPair(
  lab: PolicyLab,
  what: readonly (readonly [Protocol, number])[],
): readonly Omit<Probe, 'allowed'>[] {
  const pods = [...lab.pods().values()];
  return pods.flatMap(from =>
    pods
      .filter(to => to !== from)
      .flatMap(to =>
        what.flatMap(([protocol, port]) =>
          [to.pod.v4, to.pod.v6].map(ip => ({ from, to, ip: ip ?? '', protocol, port })),
        ),
      ),
  );
}
