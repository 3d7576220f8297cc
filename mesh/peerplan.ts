/**
 * Nodes → peers. Pure but for its memory: of a thousand nodes one moves, and the others' plans are the same objects again.
 */
import type { NodeFact } from '../discovery/types.ts';
import { compareCidrs, nthAddress, remember } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { rankEndpoints } from './rank.ts';
import type { MeshFacts, PeerPlan } from './types.ts';

/** First usable address of a pod CIDR: the pods' gateway, and the node's address inside the mesh. */
export const gatewayOf = remember((cidr: Cidr): Ip => nthAddress(cidr, 1n));

const limitTo = ({ limits }: MeshFacts, { publicKey }: NodeFact): Pick<PeerPlan, 'limit'> => {
  const limit = publicKey && limits?.get(publicKey);
  return limit === undefined || publicKey === undefined ? {} : { limit };
};

/** What a peer's plan is made from, beside its Node. */
export type Around = {
  readonly self: NodeFact | undefined;
  readonly cluster: readonly Cidr[];
  readonly resolved: MeshFacts['resolved'];
  readonly keepalive: number;
};

const makePeer = (facts: MeshFacts, { self, cluster, keepalive }: Around, node: NodeFact): PeerPlan => ({
  node: node.name,
  publicKey: node.publicKey as NonNullable<NodeFact['publicKey']>,
  endpoints: rankEndpoints(node, self, facts.resolved, cluster),
  allowedIps: [...node.podCidrs].sort(compareCidrs),
  gateways: [...node.podCidrs].sort(compareCidrs).map(gatewayOf),
  keepalive,
  path: { kind: 'direct' },
  ...limitTo(facts, node),
});

const sameLimit = (a: PeerPlan['limit'], b: PeerPlan['limit']): boolean =>
  a?.mtu === b?.mtu && a?.why === b?.why;

const sameAround = (a: Around, b: Around): boolean =>
  a.self === b.self &&
  a.resolved === b.resolved &&
  a.keepalive === b.keepalive &&
  a.cluster.join() === b.cluster.join();

/** Facts of a Node are never changed, only exchanged, so that the object stands for what is in it. */
let made = new WeakMap<NodeFact, PeerPlan>();
let madeAround: Around | undefined;

/** Of these Nodes, in their order. */
export function peerPlans(facts: MeshFacts, around: Around, nodes: readonly NodeFact[]): PeerPlan[] {
  if (madeAround === undefined || !sameAround(around, madeAround)) made = new WeakMap();
  madeAround = around;
  return nodes.map(node => {
    const known = made.get(node);
    if (known !== undefined && sameLimit(known.limit, limitTo(facts, node).limit)) return known;
    const peer = makePeer(facts, around, node);
    made.set(node, peer);
    return peer;
  });
}
