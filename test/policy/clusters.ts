/** Random small clusters: policies, pods and namespaces that meet often, from a seed. */
import { BlockList } from 'node:net';
import { parseNamespace, parsePod, parsePolicy } from '../../policy/parse.ts';
import type { Cluster, Namespace, NodeFacts, Pod, Policy } from '../../policy/types.ts';
import type { Ip, Result } from '../../types.ts';

/** mulberry32: the same numbers from the same seed. */
export function newRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Pick = {
  readonly one: <T>(list: readonly T[]) => T;
  readonly some: <T>(list: readonly T[], most: number) => readonly T[];
  readonly chance: (p: number) => boolean;
  readonly below: (n: number) => number;
};

export function newPick(seed: number): Pick {
  const random = newRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  return {
    one,
    below,
    chance: p => random() < p,
    some: (list, most) => Array.from({ length: below(most + 1) }, () => one(list)),
  };
}

const must = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.error);
  return result.value;
};

export const NAMESPACE_NAMES = ['x', 'y', 'z'] as const;
export const POD_NAMES = ['a', 'b', 'c'] as const;

type Json = Readonly<Record<string, unknown>>;

export const namespaceObject = (name: string, more: Json = {}): Json => ({
  metadata: { name, labels: { ns: name, 'kubernetes.io/metadata.name': name, ...more } },
});

export const podObject = (
  namespace: string,
  name: string,
  node: string,
  ips: readonly string[],
  labels: Json = {},
): Json => ({
  metadata: { namespace, name, uid: `${namespace}-${name}`, labels: { pod: name, ...labels } },
  spec: {
    nodeName: node,
    containers: [
      {
        name: 'c',
        image: 'i',
        ports: [
          { name: 'serve-80-tcp', containerPort: 80, protocol: 'TCP' },
          { name: 'serve-81-tcp', containerPort: 81, protocol: 'TCP' },
          { name: 'serve-80-udp', containerPort: 80, protocol: 'UDP' },
        ],
      },
    ],
  },
  status: { phase: 'Running', podIPs: ips.map(ip => ({ ip })) },
});

const LABEL_VALUES = ['red', 'blue'] as const;

function selector(pick: Pick): Json {
  const kind = pick.below(6);
  if (kind === 0) return {};
  if (kind === 1) return { matchLabels: { pod: pick.one(POD_NAMES) } };
  if (kind === 2) return { matchLabels: { color: pick.one(LABEL_VALUES) } };
  if (kind === 3)
    return { matchExpressions: [{ key: 'pod', operator: 'NotIn', values: [pick.one(POD_NAMES)] }] };
  if (kind === 4)
    return { matchExpressions: [{ key: 'color', operator: pick.one(['Exists', 'DoesNotExist']) }] };
  return { matchExpressions: [{ key: 'pod', operator: 'In', values: pick.some(POD_NAMES, 2).concat('a') }] };
}

function namespaceSelector(pick: Pick): Json {
  if (pick.chance(0.3)) return {};
  const key = pick.one(['ns', 'kubernetes.io/metadata.name']);
  if (pick.chance(0.5)) return { matchLabels: { [key]: pick.one(NAMESPACE_NAMES) } };
  return {
    matchExpressions: [{ key, operator: pick.one(['In', 'NotIn']), values: [pick.one(NAMESPACE_NAMES)] }],
  };
}

const LENGTHS = { 4: [0, 8, 16, 22, 24, 29, 30, 31, 32], 6: [0, 32, 48, 64, 112, 126, 127, 128] } as const;

/** Around one of the addresses, bits of the host and all; exceptions around others in it, one in the other too. */
function block(pick: Pick, ips: readonly string[]): Json {
  const ip = pick.one(ips);
  const [bits, family] = ip.includes(':') ? ([128, 6] as const) : ([32, 4] as const);
  const length = pick.one(LENGTHS[family]);
  const inside = new BlockList();
  inside.addSubnet(ip, length, `ipv${family}`);
  const except = pick
    .some(ips, 6)
    .filter(one => one.includes(':') === (family === 6) && length < bits && inside.check(one, `ipv${family}`))
    .map(one => `${one}/${pick.chance(0.5) ? bits : length + 1 + pick.below(bits - length)}`);
  return { cidr: `${ip}/${length}`, ...(except.length > 0 && { except }) };
}

function peer(pick: Pick, ips: readonly string[]): Json {
  const kind = pick.below(4);
  if (kind === 0) return { podSelector: selector(pick) };
  if (kind === 1) return { namespaceSelector: namespaceSelector(pick) };
  if (kind === 2) return { namespaceSelector: namespaceSelector(pick), podSelector: selector(pick) };
  return { ipBlock: block(pick, ips) };
}

function port(pick: Pick): Json {
  const protocol = pick.one(['TCP', 'TCP', 'UDP', 'SCTP']);
  const kind = pick.below(5);
  if (kind === 0) return { protocol };
  if (kind === 1) return { protocol: 'TCP', port: pick.one(['serve-80-tcp', 'serve-81-tcp']) };
  if (kind === 2) return { protocol, port: pick.one([79, 80]), endPort: pick.one([80, 81, 90]) };
  return { protocol, port: pick.one([80, 81]) };
}

const rules = (pick: Pick, ips: readonly string[], side: 'from' | 'to'): readonly Json[] =>
  Array.from({ length: pick.below(3) }, () => ({
    ...(pick.chance(0.8) && { [side]: Array.from({ length: 1 + pick.below(2) }, () => peer(pick, ips)) }),
    ...(pick.chance(0.6) && { ports: Array.from({ length: 1 + pick.below(2) }, () => port(pick)) }),
  }));

/** A policy of any shape; `ips` are addresses that blocks shall be about. */
export function policyObject(
  pick: Pick,
  name: string,
  ips: readonly string[],
): Json & { readonly metadata: { readonly namespace: string; readonly name: string } } {
  const types = pick.one([['Ingress'], ['Egress'], ['Ingress', 'Egress']]);
  return {
    metadata: { namespace: pick.one(NAMESPACE_NAMES), name },
    spec: {
      podSelector: selector(pick),
      policyTypes: types,
      ...(types.includes('Ingress') && { ingress: rules(pick, ips, 'from') }),
      ...(types.includes('Egress') && { egress: rules(pick, ips, 'to') }),
    },
  };
}

export const toPolicy = (object: unknown): Policy => must(parsePolicy(object));
export const toPod = (object: unknown): Pod => must(parsePod(object));
export const toNamespace = (object: unknown): Namespace => must(parseNamespace(object));

export const NODE_FACTS: readonly NodeFacts[] = [1, 2].map(n => ({
  name: `node${n}`,
  addresses: [`192.0.2.${n}`, `2001:db8::${n}`] as unknown as readonly Ip[],
  gateways: [`10.42.${n}.1`, `fd42:0:0:${n}::1`] as unknown as readonly Ip[],
}));

/** Addresses of pod `n` on a node, one a family. */
export const podIps = (node: number, n: number): readonly string[] => [
  `10.42.${node}.${n + 2}`,
  `fd42:0:0:${node}::${(n + 2).toString(16)}`,
];

/** Nine pods over two nodes and a handful of policies. */
export function randomCluster(seed: number): Cluster {
  const pick = newPick(seed);
  const pods = NAMESPACE_NAMES.flatMap((ns, i) =>
    POD_NAMES.map((name, j) => {
      const n = i * 3 + j;
      const labels = pick.chance(0.5) ? { color: pick.one(LABEL_VALUES) } : {};
      return podObject(ns, name, `node${1 + (n % 2)}`, podIps(1 + (n % 2), n), labels);
    }),
  );
  const ips = pods.flatMap((_, n) => podIps(1 + (n % 2), n));
  const policies = Array.from({ length: pick.below(6) }, (_, n) => policyObject(pick, `p${n}`, ips));
  return {
    self: 'node1',
    policies: policies.map(toPolicy),
    pods: pods.filter(() => pick.chance(0.9)).map(toPod),
    namespaces: NAMESPACE_NAMES.map(name => toNamespace(namespaceObject(name))),
    nodes: NODE_FACTS,
    unknown: pick.chance(0.2) ? (['10.42.1.200'] as unknown as readonly Ip[]) : [],
  };
}
