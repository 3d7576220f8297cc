/**
 * Whether a connection is allowed, by the words of the NetworkPolicy specification read off the API
 * objects themselves. Shares no code with policy/: parsing, selectors and networks are done again,
 * the long way, so that both being wrong alike is unlikely.
 */
import { BlockList, isIPv6 } from 'node:net';

export type RawLabels = Readonly<Record<string, string>>;

export type RawContainer = {
  readonly restartPolicy?: string;
  readonly ports?: readonly {
    readonly name?: string;
    readonly containerPort: number;
    readonly protocol?: string;
  }[];
};

export type RawPod = {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly uid?: string;
    readonly labels?: RawLabels;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly nodeName: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly RawContainer[];
    readonly initContainers?: readonly RawContainer[];
  };
  readonly status: { readonly phase: string; readonly podIPs: readonly { readonly ip: string }[] };
};

export type RawNamespace = { readonly metadata: { readonly name: string; readonly labels?: RawLabels } };

export type RawSelector = {
  readonly matchLabels?: RawLabels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
};

export type RawPeer = {
  readonly podSelector?: RawSelector;
  readonly namespaceSelector?: RawSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
};

export type RawPort = {
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
  readonly port?: number | string;
  readonly endPort?: number;
};

export type RawPolicy = {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: {
    readonly podSelector?: RawSelector;
    readonly policyTypes?: readonly ('Ingress' | 'Egress')[];
    readonly ingress?: readonly { readonly from?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[];
    readonly egress?: readonly { readonly to?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[];
  };
};

export type RawNode = {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
};

export type World = {
  readonly pods: readonly RawPod[];
  readonly namespaces: readonly RawNamespace[];
  readonly policies: readonly RawPolicy[];
  readonly nodes: readonly RawNode[];
};

/** A connection as the far end sees it: a node's own traffic has its gateway address at other nodes. */
export type Probe = {
  readonly src: string;
  readonly dst: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP';
  readonly port: number;
};

/** "A completed pod has given its address back"; hostNetwork pods are their node. */
export function podAt(world: World, ip: string): RawPod | undefined {
  return world.pods.find(pod => {
    if (pod.spec.hostNetwork === true) return false;
    if (pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed') return false;
    return pod.status.podIPs.some(one => one.ip === ip);
  });
}

function selects(selector: RawSelector, labels: RawLabels = {}): boolean {
  for (const key in selector.matchLabels ?? {})
    if (!Object.hasOwn(labels, key) || labels[key] !== selector.matchLabels?.[key]) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const has = Object.hasOwn(labels, key);
    if (operator === 'Exists' && !has) return false;
    if (operator === 'DoesNotExist' && has) return false;
    if (operator === 'In' && !(has && values.includes(labels[key] as string))) return false;
    if (operator === 'NotIn' && has && values.includes(labels[key] as string)) return false;
  }
  return true;
}

/** As Go reads it: leading zeros mean nothing, and IPv4 written as IPv6 is IPv4. */
function inNetwork(network: string, ip: string): boolean {
  const [text = '', bits] = network.split('/');
  const mapped = text.startsWith('::ffff:');
  const address = (mapped ? text.slice(7) : text).replace(/\b0+(\d+\.|\d+$)/g, '$1');
  if (isIPv6(address) !== isIPv6(ip)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(bits) - (mapped ? 96 : 0), isIPv6(address) ? 'ipv6' : 'ipv4');
  return list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
}

/** The address itself; and where it is a node's gateway address, the node's own of that family. */
function meanings(world: World, ip: string): string[] {
  const all = [ip];
  for (const node of world.nodes)
    if (node.gateways.includes(ip))
      for (const address of node.addresses) if (isIPv6(address) === isIPv6(ip)) all.push(address);
  return all;
}

function peerAllows(world: World, policy: RawPolicy, peer: RawPeer, other: string): boolean {
  const { ipBlock } = peer;
  if (ipBlock !== undefined)
    return meanings(world, other).some(
      ip => inNetwork(ipBlock.cidr, ip) && !(ipBlock.except ?? []).some(except => inNetwork(except, ip)),
    );
  const pod = podAt(world, other);
  if (pod === undefined) return false;
  if (peer.namespaceSelector === undefined) {
    if (pod.metadata.namespace !== policy.metadata.namespace) return false;
  } else {
    const namespace = world.namespaces.find(({ metadata }) => metadata.name === pod.metadata.namespace);
    if (namespace === undefined || !selects(peer.namespaceSelector, namespace.metadata.labels)) return false;
  }
  return peer.podSelector === undefined || selects(peer.podSelector, pod.metadata.labels);
}

function portAllows(world: World, port: RawPort, probe: Probe): boolean {
  const protocol = port.protocol ?? 'TCP';
  if (protocol !== probe.protocol) return false;
  if (port.port === undefined) return true;
  if (typeof port.port === 'string') {
    const target = podAt(world, probe.dst);
    const sidecars = (target?.spec.initContainers ?? []).filter(one => one.restartPolicy === 'Always');
    const running = [...(target?.spec.containers ?? []), ...sidecars];
    const named = running.flatMap(container => container.ports ?? []);
    return named.some(
      one =>
        one.name === port.port && (one.protocol ?? 'TCP') === protocol && one.containerPort === probe.port,
    );
  }
  return probe.port >= port.port && probe.port <= (port.endPort ?? port.port);
}

type Side = 'ingress' | 'egress';

function speaksOf(policy: RawPolicy, side: Side): boolean {
  const { policyTypes = [], egress } = policy.spec;
  if (policyTypes.length > 0) return policyTypes.includes(side === 'ingress' ? 'Ingress' : 'Egress');
  return side === 'ingress' || (egress !== undefined && egress.length > 0);
}

function sideAllows(world: World, side: Side, probe: Probe): boolean {
  const [own, other] = side === 'ingress' ? [probe.dst, probe.src] : [probe.src, probe.dst];
  const pod = podAt(world, own);
  if (pod === undefined || own === other) return true;
  const node = world.nodes.find(({ name }) => name === pod.spec.nodeName);
  if (node?.addresses.includes(other) === true || node?.gateways.includes(other) === true) return true;
  let isolated = false;
  for (const policy of world.policies) {
    if (policy.metadata.namespace !== pod.metadata.namespace) continue;
    if (!selects(policy.spec.podSelector ?? {}, pod.metadata.labels) || !speaksOf(policy, side)) continue;
    isolated = true;
    const rules =
      side === 'ingress'
        ? (policy.spec.ingress ?? []).map(rule => ({ peers: rule.from, ports: rule.ports }))
        : (policy.spec.egress ?? []).map(rule => ({ peers: rule.to, ports: rule.ports }));
    for (const { peers = [], ports = [] } of rules) {
      const peerFits = peers.length === 0 || peers.some(peer => peerAllows(world, policy, peer, other));
      const portFits = ports.length === 0 || ports.some(port => portAllows(world, port, probe));
      if (peerFits && portFits) return true;
    }
  }
  return !isolated;
}

/** Both ends must allow. */
export const naive = (world: World, probe: Probe): boolean =>
  sideAllows(world, 'egress', probe) && sideAllows(world, 'ingress', probe);
