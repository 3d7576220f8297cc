/**
 * Facts → the mesh as one value. Start reading here.
 *
 * Pure: the same Nodes in any order give the same plan on every node, so no controller is
 * needed. A Node whose facts are missing or contradict an older Node's is left out with a
 * reason; the others are not touched by it.
 */
import type { NodeFact } from '../discovery/types.ts';
import { aggregate, compareCidrs, containsCidr, textOrder } from '../ip.ts';
import type { Cidr } from '../types.ts';
import { claims } from './claims.ts';
import { networksOf } from './networks.ts';
import { gatewayOf, peerPlans } from './peerplan.ts';
import type { Exclusion, MeshFacts, MeshPlan, PeerPlan, Warning } from './types.ts';
import { nodesAmong } from './unmasked.ts';

/** Older Nodes first: of two that claim the same, the older stays. */
const byAge = (a: NodeFact, b: NodeFact): number =>
  textOrder(a.createdAt, b.createdAt) || textOrder(a.uid, b.uid) || textOrder(a.name, b.name);

const byNode = (a: { readonly node: string }, b: { readonly node: string }): number =>
  textOrder(a.node, b.node);

const clusterCidrs = ({ settings, nodes }: MeshFacts): readonly Cidr[] =>
  settings.clusterCidrs.length > 0 ? aggregate(settings.clusterCidrs) : networksOf(nodes);

/** Where no setting says what the cluster's networks are, they are the Nodes' own. */
const uncoveredBy = (cluster: readonly Cidr[], { settings, nodes }: MeshFacts): Warning[] =>
  settings.clusterCidrs.length === 0
    ? []
    : nodes.flatMap(node =>
        node.podCidrs
          .filter(cidr => !cluster.some(one => containsCidr(one, cidr)))
          .map(cidr => ({
            node: node.name,
            message: `podCIDR ${cidr} is outside clusterCidrs (${cluster.join(', ')}): add it to the setting clusterCidrs, or nothing keeps its packets from leaving in clear`,
          })),
      );

function warnings(facts: MeshFacts, peers: readonly PeerPlan[], cluster: readonly Cidr[]): Warning[] {
  const annotations = facts.nodes.flatMap(node =>
    node.errors.map(e => ({
      node: node.name,
      message: `annotation ${e.annotation}=${JSON.stringify(e.value)} is ignored: ${e.message}`,
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
  return [...annotations, ...gone, ...uncoveredBy(cluster, facts), ...silent].sort(byNode);
}

/** The plan of the node `facts.self.name`. */
export function plan(facts: MeshFacts): MeshPlan {
  const { name, publicKey } = facts.self;
  // Our own Node has the key that we have, whatever it shows.
  const nodes = facts.nodes.map(node => (node.name === name ? { ...node, publicKey } : node)).sort(byAge);
  const refused = claims(nodes);
  // As it was given: by the object others know that it is what it was.
  const self = facts.nodes.find(node => node.name === name);
  const cluster = clusterCidrs(facts);
  const accepted = nodes.filter(node => !refused.has(node.name));
  const { resolved, settings } = facts;
  const around = { self, cluster, resolved, keepalive: self?.keepalive ?? settings.keepalive };
  const others = accepted.filter(node => node.name !== name);
  const peers = peerPlans(facts, around, others).sort(byNode);
  const excluded: Exclusion[] = [...refused].map(([node, refusal]) => ({ node, ...refusal })).sort(byNode);
  const own = self === undefined || refused.has(self.name) ? [] : [...self.podCidrs].sort(compareCidrs);
  return {
    self: { name, podCidrs: own, gateways: own.map(gatewayOf) },
    peers,
    excluded,
    warnings: warnings(facts, peers, cluster),
    clusterCidrs: cluster,
    unmaskedNodes: nodesAmong(settings.unmasked, others, peers),
    settings,
  };
}
