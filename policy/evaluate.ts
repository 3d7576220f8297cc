/**
 * The verdict on one packet, straight from the policies, with what decided: the oracle of tests and
 * of `weft explain`. Slow and plain; knows nothing of sets and chains. Pure.
 */
import { containsIp, familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { byIdentity } from './identity.ts';
import { resolvePort } from './parts.ts';
import { matches } from './select.ts';
import type {
  Cluster,
  Decision,
  Direction,
  NearMiss,
  NodeFacts,
  Packet,
  Peer,
  Pod,
  Policy,
  PolicyKey,
  Port,
  Side,
  Verdict,
} from './types.ts';

/** A pod that has its address for itself and lives. */
const isPlain = (pod: Pod): boolean => !pod.done && !pod.hostNetwork;

const podsAt = ({ pods }: Cluster, ip: Ip): readonly Pod[] =>
  pods.filter(pod => isPlain(pod) && pod.ips.includes(ip)).sort(byIdentity);

const isOf = (node: NodeFacts | undefined, ip: Ip): boolean =>
  node !== undefined && (node.addresses.includes(ip) || node.gateways.includes(ip));

/** The node itself, its hostNetwork pods, and whatever else has an address of it. */
const nodeNamed = ({ nodes }: Cluster, name: string): NodeFacts | undefined =>
  nodes.find(node => node.name === name);

/** A packet with a node's gateway address is also from that node's own addresses. */
function identities({ nodes }: Cluster, ip: Ip): readonly Ip[] {
  const nodesOf = nodes.filter(node => node.gateways.includes(ip));
  const same = (other: Ip): boolean => familyOf(other) === familyOf(ip);
  return [ip, ...nodesOf.flatMap(node => node.addresses.filter(same))];
}

function isInNamespace(cluster: Cluster, peer: Peer & { kind: 'pods' }, policy: Policy, pod: Pod): boolean {
  if (peer.namespaces === undefined) return pod.namespace === policy.namespace;
  const namespace = cluster.namespaces.find(({ name }) => name === pod.namespace);
  return namespace !== undefined && matches(peer.namespaces, namespace.labels);
}

function peerMatches(cluster: Cluster, policy: Policy, peer: Peer, other: Ip): boolean {
  switch (peer.kind) {
    case 'broken':
      return false;
    case 'block':
      return identities(cluster, other).some(
        ip => containsIp(peer.cidr, ip) && !peer.excepts.some(except => containsIp(except, ip)),
      );
    case 'pods':
      return podsAt(cluster, other).some(
        pod => isInNamespace(cluster, peer, policy, pod) && matches(peer.pods, pod.labels),
      );
  }
}

/** `destinations` are the pods at the packet's destination address: port names are theirs. */
const portMatches = (port: Port, packet: Packet, destinations: readonly Pod[]): boolean =>
  (port.kind === 'named' ? destinations.flatMap(pod => resolvePort(port, pod.ports)) : [port]).some(
    one =>
      one.kind === 'range' &&
      one.protocol === packet.protocol &&
      one.first <= packet.port &&
      packet.port <= one.last,
  );

/** Index of the first that matches, undefined where nothing is listed and all match; else null. */
function first<T>(list: readonly T[] | undefined, isMatch: (item: T) => boolean): number | undefined | null {
  const index = (list ?? []).findIndex(isMatch);
  if (index >= 0) return index;
  return list === undefined ? undefined : null;
}

/** A rule with the indexes of the peer and the port that fit; null where none does. */
type Fit = {
  readonly policy: PolicyKey;
  readonly rule: number;
  readonly peer: number | undefined | null;
  readonly port: number | undefined | null;
};

const isDecision = (fit: Fit): fit is Decision => fit.peer !== null && fit.port !== null;

const nearMisses = (fits: readonly Fit[]): readonly NearMiss[] =>
  fits
    .filter(({ peer, port }) => (peer === null) !== (port === null))
    .map(({ policy, rule, peer }) => ({ policy, rule, fits: peer === null ? 'port' : 'peer' }));

/** `destinations` are the pods at the packet's destination address: port names are theirs. */
const fitsOf = (
  cluster: Cluster,
  direction: Direction,
  policies: readonly Policy[],
  packet: Packet,
  { other, destinations }: { readonly other: Ip; readonly destinations: readonly Pod[] },
): readonly Fit[] =>
  policies.flatMap(policy =>
    (policy[direction] ?? []).map((rule, index) => ({
      policy: policy.key,
      rule: index,
      peer: first(rule.peers, one => peerMatches(cluster, policy, one, other)),
      port: first(rule.ports, one => portMatches(one, packet, destinations)),
    })),
  );

const isolatingPolicies = (cluster: Cluster, direction: Direction, pod: Pod): readonly Policy[] =>
  cluster.policies
    .filter(policy => policy.namespace === pod.namespace && policy[direction] !== undefined)
    .filter(policy => matches(policy.pods, pod.labels))
    .sort((a, b) => (a.key < b.key ? -1 : 1));

function judge(cluster: Cluster, direction: Direction, own: Ip, other: Ip, packet: Packet): Side {
  if (cluster.unknown.includes(own)) return { kind: 'unknown' };
  const here = podsAt(cluster, own);
  const pod = here.findLast(({ node }) => node === cluster.self) ?? here.at(-1);
  if (pod === undefined) return { kind: 'exempt', why: 'outside' };
  if (own === other) return { kind: 'exempt', why: 'itself' };
  if (isOf(nodeNamed(cluster, pod.node), other)) return { kind: 'exempt', why: 'ownNode' };
  const policies = isolatingPolicies(cluster, direction, pod);
  if (policies.length === 0) return { kind: 'open', pod: pod.key };
  const destinations = direction === 'ingress' ? [pod] : podsAt(cluster, other);
  const fits = fitsOf(cluster, direction, policies, packet, { other, destinations });
  const by = fits.filter(isDecision);
  const isolating = policies.map(policy => policy.key);
  return by.length > 0
    ? { kind: 'allowed', pod: pod.key, isolating, by }
    : { kind: 'denied', pod: pod.key, isolating, near: nearMisses(fits) };
}

const lets = (side: Side): boolean => side.kind !== 'denied' && side.kind !== 'unknown';

/**
 * For a packet as it arrives at the forward hook of each end's node: a node's own traffic has its
 * gateway address at another node. Both ends must allow.
 */
export function evaluate(cluster: Cluster, packet: Packet): Verdict {
  const egress = judge(cluster, 'egress', packet.src, packet.dst, packet);
  const ingress = judge(cluster, 'ingress', packet.dst, packet.src, packet);
  return { allowed: lets(egress) && lets(ingress), egress, ingress };
}
