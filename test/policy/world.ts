/** Clusters and policies at random, out of a vocabulary so small that everything meets. */
import fc from 'fast-check';
import { parseNamespace, parsePod, parsePolicy } from '../../policy/parse.ts';
import type { Cluster, NodeFacts } from '../../policy/types.ts';
import type { Result } from '../../types.ts';
import type {
  Probe,
  RawLabels,
  RawNamespace,
  RawNode,
  RawPeer,
  RawPod,
  RawPolicy,
  RawPort,
  RawSelector,
  World,
} from './naive.ts';

const VALUES = ['x', 'y'] as const;
/** Names that every object answers to are names as all others. */
const KEYS = ['app', 'constructor'] as const;

const labels: fc.Arbitrary<RawLabels> = fc
  .array(fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES)), { maxLength: 2 })
  .map(list => Object.fromEntries(list));

const expression = fc.record({
  key: fc.constantFrom(...KEYS),
  values: fc.subarray([...VALUES], { minLength: 1 }),
});

const requirement = expression.chain(({ key, values }) =>
  fc.constantFrom<NonNullable<RawSelector['matchExpressions']>[number]>(
    { key, operator: 'In', values },
    { key, operator: 'NotIn', values },
    { key, operator: 'Exists' },
    { key, operator: 'DoesNotExist' },
  ),
);

const selector: fc.Arbitrary<RawSelector> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: labels.map(matchLabels => ({ matchLabels })) },
  { weight: 2, arbitrary: requirement.map(one => ({ matchExpressions: [one] })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(labels, fc.array(requirement, { maxLength: 3 }))
      .map(([matchLabels, matchExpressions]) => ({ matchLabels, matchExpressions })),
  },
);

export const NODES: readonly RawNode[] = [0, 1].map(n => ({
  name: `n${n}`,
  addresses: [`192.0.2.${n + 1}`, `2001:db8::${n + 1}`],
  gateways: [`10.42.${n}.1`, `fd42:0:0:${n + 1}::1`],
}));

const NETWORKS = [
  {
    cidr: '0.0.0.0/0',
    inside: ['10.42.0.0/16', '10.42.0.0/24', '192.0.2.0/24', '203.0.113.7/32', '0.0.0.0/1'],
  },
  { cidr: '10.42.0.0/16', inside: ['10.42.0.0/24', '10.42.1.2/31', '10.42.0.3/32'] },
  { cidr: '10.42.1.0/24', inside: ['10.42.1.2/32', '10.42.1.4/30', '10.42.1.4/31', '10.42.1.0/25'] },
  // As the API server takes them too: with bits of the host, leading zeros, IPv4 as IPv6.
  { cidr: '10.42.77.1/16', inside: ['10.42.0.5/30', '::ffff:10.42.0.2/127'] },
  { cidr: '010.042.000.000/23', inside: ['10.42.1.0/30'] },
  { cidr: '::ffff:10.42.0.0/120', inside: ['10.42.0.4/31'] },
  { cidr: '10.42.0.2/31', inside: ['10.42.0.3/32'] },
  { cidr: '192.0.2.0/24', inside: ['192.0.2.1/32'] },
  { cidr: '192.0.2.2/32', inside: [] },
  { cidr: '203.0.113.0/24', inside: ['203.0.113.7/32'] },
  { cidr: '::/0', inside: ['fd42::/32', 'fd42:0:0:1::/64', '2001:db8::/64', '8000::/1'] },
  { cidr: 'fd42::/32', inside: ['fd42:0:0:1::2/127', 'fd42:0:0:2::/64', 'fd42:0:0:1::/64'] },
  { cidr: 'fd42:0:0:1:ffff::/64', inside: ['fd42:0:0:1::4/126', 'fd42:0:0:1::6/127'] },
  { cidr: '2001:db8::/64', inside: ['2001:db8::2/128'] },
] as const;

export const block: fc.Arbitrary<RawPeer> = fc
  .constantFrom(...NETWORKS)
  .chain(({ cidr, inside }) =>
    fc.subarray<string>([...inside]).map(except => ({ ipBlock: { cidr, except } })),
  );

const SPACES = ['a', 'b', 'constructor'] as const;

/** By the label that every namespace has. */
const byName: fc.Arbitrary<RawSelector> = fc
  .subarray([...SPACES], { minLength: 1 })
  .chain(values =>
    fc.constantFrom<RawSelector>(
      { matchLabels: { 'kubernetes.io/metadata.name': values[0] as string } },
      { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values }] },
      { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values }] },
    ),
  );

const spaceSelector = fc.oneof(selector, byName);

const peer: fc.Arbitrary<RawPeer> = fc.oneof(
  selector.map(podSelector => ({ podSelector })),
  spaceSelector.map(namespaceSelector => ({ namespaceSelector })),
  fc
    .tuple(selector, spaceSelector)
    .map(([podSelector, namespaceSelector]) => ({ podSelector, namespaceSelector })),
  block,
);

const protocol = fc.constantFrom('TCP' as const, 'UDP' as const, 'SCTP' as const);

/** Of one port, of some, of all of a protocol, or anything. */
export const range: fc.Arbitrary<RawPort | undefined> = fc.constantFrom(
  undefined,
  {},
  { port: 80 },
  { port: 79, endPort: 81 },
  { port: 80, endPort: 65_535 },
  { port: 81, endPort: 443 },
  { protocol: 'UDP', port: 1, endPort: 80 },
);

const port: fc.Arbitrary<RawPort> = fc.oneof(
  fc.constant({}),
  protocol.map(one => ({ protocol: one })),
  fc.tuple(protocol, fc.constantFrom(80, 81, 443)).map(([one, number]) => ({ protocol: one, port: number })),
  fc.constantFrom('web', 'dns').map(name => ({ port: name })),
  fc.constant({ protocol: 'UDP' as const, port: 'dns' }),
  fc.constantFrom(
    { port: 79, endPort: 81 },
    { port: 80, endPort: 65_535 },
    { port: 81, endPort: 443 },
    { protocol: 'UDP' as const, port: 1, endPort: 80 },
  ),
);

/** Absent, empty or a few: what a rule's list may be. */
const listed = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant(undefined) },
    { weight: 4, arbitrary: fc.array(item, { maxLength: 3 }) },
  );

const ingressRule = fc.tuple(listed(peer), listed(port)).map(([from, ports]) => ({
  ...(from && { from }),
  ...(ports && { ports }),
}));
const egressRule = ingressRule.map(({ from, ...rest }) => ({ ...rest, ...(from && { to: from }) }));

export const policy = (name: string): fc.Arbitrary<RawPolicy> =>
  fc
    .record(
      {
        podSelector: selector,
        policyTypes: fc.constantFrom<('Ingress' | 'Egress')[]>(
          ['Ingress'],
          ['Egress'],
          ['Ingress', 'Egress'],
          // As good as absent.
          [],
        ),
        ingress: fc.array(ingressRule, { maxLength: 2 }),
        egress: fc.array(egressRule, { maxLength: 2 }),
      },
      { requiredKeys: [] },
    )
    .chain(spec => fc.constantFrom(...SPACES).map(namespace => ({ metadata: { namespace, name }, spec })));

const containerPorts = fc.subarray(
  [
    { name: 'web', containerPort: 80 },
    { name: 'web', containerPort: 81, protocol: 'TCP' },
    { name: 'dns', containerPort: 80, protocol: 'UDP' },
    { name: 'dns', containerPort: 443, protocol: 'TCP' },
    { containerPort: 79 },
  ],
  { maxLength: 3 },
);

const container = containerPorts.map(ports => ({ ports }));
const initContainer = fc
  .tuple(containerPorts, fc.constantFrom({ restartPolicy: 'Always' }, { restartPolicy: 'Never' }, {}))
  .map(([ports, policyOf]) => ({ ...policyOf, ports }));

/** Addresses by number, so that no two living pods share one. */
export const pod = (n: number): fc.Arbitrary<RawPod> =>
  fc
    .record({
      namespace: fc.constantFrom(...SPACES),
      // Names come back while their last bearer still ends: a pod is its UID.
      name: fc.constantFrom(`p${n}`, 'again'),
      labels,
      node: fc.nat(1),
      containers: fc.array(container, { minLength: 1, maxLength: 2 }),
      initContainers: fc.array(initContainer, { maxLength: 2 }),
      hostNetwork: fc.constantFrom(false, false, false, false, true),
      phase: fc.constantFrom('Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed'),
    })
    .map(({ namespace, name, labels: own, node, containers, initContainers, hostNetwork, phase }) => ({
      metadata: { namespace, name, uid: `uid-${n}`, labels: own },
      spec: { nodeName: `n${node}`, hostNetwork, containers, initContainers },
      status: {
        phase,
        podIPs: (hostNetwork
          ? (NODES[node] as RawNode).addresses
          : [`10.42.${node}.${n + 2}`, `fd42:0:0:${node + 1}::${n + 2}`]
        ).map(ip => ({ ip })),
      },
    }));

/** Mostly all; one that the API does not show yet is selected by nothing. */
const namespaces: fc.Arbitrary<readonly RawNamespace[]> = fc
  .tuple(labels, labels, labels)
  .map(all =>
    all.map((own, n) => ({
      metadata: {
        name: SPACES[n] as string,
        labels: { ...own, 'kubernetes.io/metadata.name': SPACES[n] as string },
      },
    })),
  )
  .chain(all =>
    fc.oneof({ weight: 5, arbitrary: fc.constant(all) }, { weight: 1, arbitrary: fc.subarray(all) }),
  );

const some = <T>(count: number, make: (n: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.tuple(...Array.from({ length: count }, (_, n) => make(n)));

export const world: fc.Arbitrary<World> = fc
  .record({
    pods: some(6, pod),
    namespaces,
    policies: some(4, n => policy(`policy${n}`)).chain(all => fc.subarray(all)),
  })
  .map(parts => ({ ...parts, nodes: NODES }));

const OUTSIDE = ['203.0.113.7', '2001:db8:ffff::7'] as const;

/** Every address of the world that can be the end of a connection. */
export const addresses = ({ pods, nodes }: World): readonly string[] => [
  ...new Set([
    ...pods.flatMap(({ status }) => status.podIPs.map(({ ip }) => ip)),
    ...nodes.flatMap(node => node.gateways),
    ...nodes.flatMap(node => node.addresses),
    ...OUTSIDE,
  ]),
];

const PORTS = [
  ['TCP', 80],
  ['TCP', 81],
  ['TCP', 443],
  ['UDP', 80],
  ['SCTP', 80],
  ['ICMP', 0],
] as const;

/** All pairs of one family, on all ports. */
export function* probes(all: World): Generator<Probe> {
  const ends = addresses(all);
  for (const src of ends)
    for (const dst of ends)
      if (src.includes(':') === dst.includes(':'))
        for (const [name, number] of PORTS) yield { src, dst, protocol: name, port: number };
}

/** The same object again where the raw one is the same, as a watch gives it. */
function parsing<T extends object>(parse: (object: unknown) => Result<T>): (raw: object) => T {
  const known = new WeakMap<object, T>();
  return raw => {
    const old = known.get(raw);
    if (old !== undefined) return old;
    const result = parse(raw);
    if (!result.ok) throw new Error(result.error);
    known.set(raw, result.value);
    return result.value;
  };
}

const policyFrom = parsing(parsePolicy);
const podFrom = parsing(parsePod);
const namespaceFrom = parsing(parseNamespace);

export const toCluster = (all: World, self: string): Cluster => ({
  self,
  policies: all.policies.map(policyFrom),
  pods: all.pods.map(podFrom),
  namespaces: all.namespaces.map(namespaceFrom),
  nodes: all.nodes as readonly NodeFacts[],
  unknown: [],
});
