/**
 * Facts → the mesh as one value. Start reading here.
 *
 * Pure: the same Nodes in any order give the same plan on every node, so no controller is
 * needed. A Node whose facts are missing or contradict an older Node's is left out with a
 * reason; the others are not touched by it.
 */
import type { NodeFact } from '../discovery/types.ts';
import { aggregate, compareCidrs, containsCidr, nthAddress, remember } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { claims } from './claims.ts';
import { rankEndpoints } from './rank.ts';
import type { Exclusion, MeshFacts, MeshPlan, PeerPlan, Warning } from './types.ts';

/** Older Nodes first: of two that claim the same, the older stays. */
const byAge = (a: NodeFact, b: NodeFact): number =>
  a.createdAt.localeCompare(b.createdAt) || a.uid.localeCompare(b.uid) || a.name.localeCompare(b.name);

const byNode = (a: { readonly node: string }, b: { readonly node: string }): number =>
  a.node < b.node ? -1 : a.node > b.node ? 1 : 0;

/** First usable address of a pod CIDR: the pods' gateway, and the node's address inside the mesh. */
const gatewayOf = remember((cidr: Cidr): Ip => nthAddress(cidr, 1n));

const clusterCidrs = (facts: MeshFacts): readonly Cidr[] =>
  aggregate(
    facts.settings.clusterCidrs.length > 0
      ? facts.settings.clusterCidrs
      : facts.nodes.flatMap(node => node.podCidrs),
  );

const limitTo = ({ limits }: MeshFacts, { publicKey }: NodeFact): Pick<PeerPlan, 'limit'> => {
  const limit = publicKey && limits?.get(publicKey);
  return limit === undefined || publicKey === undefined ? {} : { limit };
};

const toPeer = (facts: MeshFacts, self: NodeFact | undefined, cluster: readonly Cidr[], node: NodeFact) =>
  ({
    node: node.name,
    publicKey: node.publicKey as NonNullable<NodeFact['publicKey']>,
    endpoints: rankEndpoints(node, self, facts.resolved, cluster),
    allowedIps: [...node.podCidrs].sort(compareCidrs),
    gateways: [...node.podCidrs].sort(compareCidrs).map(gatewayOf),
    keepalive: self?.keepalive ?? facts.settings.keepalive,
    path: { kind: 'direct' },
    ...limitTo(facts, node),
  }) satisfies PeerPlan;

function warnings(facts: MeshFacts, peers: readonly PeerPlan[], cluster: readonly Cidr[]): Warning[] {
  const annotations = facts.nodes.flatMap(node =>
    node.errors.map(e => ({
      node: node.name,
      message: `annotation ${e.annotation}=${JSON.stringify(e.value)} is ignored: ${e.message}`,
    })),
  );
  const outside = facts.nodes.flatMap(node =>
    node.podCidrs
      .filter(cidr => !cluster.some(c => containsCidr(c, cidr)))
      .map(cidr => ({
        node: node.name,
        message: `podCIDR ${cidr} is outside clusterCidrs (${cluster.join(', ')}): add it to the setting clusterCidrs, or nothing keeps its packets from leaving in clear`,
      })),
  );
  const silent = peers
    .filter(peer => peer.endpoints.length === 0)
    .map(peer => ({
      node: peer.node,
      message:
        'publishes no endpoint that can be tried: the tunnel comes up only if that node can reach this one; set weft.network/force-endpoint on it if it has a reachable address',
    }));
  const gone = facts.nodes
    .filter(node => node.keyGone && node.name !== facts.self.name)
    .map(node => ({
      node: node.name,
      message:
        'shows no weft.network/public-key any more: the last one stays in use while its tunnel lives; is its weft agent running?',
    }));
  return [...annotations, ...gone, ...outside, ...silent].sort(byNode);
}

/** The plan of the node `facts.self.name`. */
export function plan(facts: MeshFacts): MeshPlan {
  const nodes = facts.nodes
    .map(node => (node.name === facts.self.name ? { ...node, publicKey: facts.self.publicKey } : node))
    .sort(byAge);
  const refused = claims(nodes);
  const self = nodes.find(node => node.name === facts.self.name);
  const cluster = clusterCidrs(facts);
  const accepted = nodes.filter(node => !refused.has(node.name));
  const peers = accepted
    .filter(node => node !== self)
    .map(node => toPeer(facts, self, cluster, node))
    .sort(byNode);
  const excluded: Exclusion[] = [...refused].map(([node, refusal]) => ({ node, ...refusal })).sort(byNode);
  const own = self === undefined || refused.has(self.name) ? [] : [...self.podCidrs].sort(compareCidrs);
  return {
    self: { name: facts.self.name, podCidrs: own, gateways: own.map(gatewayOf) },
    peers,
    excluded,
    warnings: warnings(facts, peers, cluster),
    clusterCidrs: cluster,
    settings: facts.settings,
  };
}
