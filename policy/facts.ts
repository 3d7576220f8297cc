/** From what the rooms know to what a rule set is made from. Pure; unchanged parts are the same objects. */
import type { NodeFact } from '../discovery/types.ts';
import { familyOf, nthAddress, parseEndpoint } from '../ip.ts';
import type { Ip } from '../types.ts';
import type { Cluster, Namespace, NodeFacts, Pod, Policy } from './types.ts';
import { newOwnPods, type Shown, type Wired } from './wired.ts';

export type PolicyInput = {
  readonly policies: readonly Policy[];
  readonly namespaces: readonly Namespace[];
  readonly ownPods: readonly Shown[];
  readonly otherPods: readonly Pod[];
  readonly wired: readonly Wired[];
  readonly nodes: readonly NodeFact[];
};

/** A Node's own addresses as its agent publishes them; behind a shared public address it is not alone. */
const addressesOf = (node: NodeFact): readonly Ip[] =>
  node.endpoints.flatMap(({ t, a }) => {
    const endpoint = t === 'host' || t === 'ext' ? parseEndpoint(a) : undefined;
    return endpoint?.ok ? [endpoint.value.ip] : [];
  });

const toNode = (node: NodeFact): NodeFacts => ({
  name: node.name,
  addresses: [...new Set(addressesOf(node))].sort(),
  gateways: node.podCidrs.map(cidr => nthAddress(cidr, 1n)).sort((a, b) => familyOf(a) - familyOf(b)),
});

/** Remembers the last result of each part. */
export function newFacts(self: string): (input: PolicyInput) => Cluster {
  const ownPods = newOwnPods();
  const nodes = new WeakMap<NodeFact, NodeFacts>();
  let lastFacts: readonly NodeFact[] = [];
  let lastNodes: readonly NodeFacts[] = [];
  let others: readonly Pod[] | undefined;
  let own: readonly Pod[] | undefined;
  let pods: readonly Pod[] = [];

  const nodeOf = (node: NodeFact): NodeFacts => {
    const known = nodes.get(node) ?? toNode(node);
    nodes.set(node, known);
    return known;
  };
  /** The same array as long as no node says anything new. */
  const nodesOf = (facts: readonly NodeFact[]): readonly NodeFacts[] => {
    if (facts === lastFacts) return lastNodes;
    lastFacts = facts;
    lastNodes = facts.map(nodeOf);
    return lastNodes;
  };
  const sameAs = (a: readonly Pod[] | undefined, b: readonly Pod[]): boolean =>
    a !== undefined && a.length === b.length && a.every((pod, n) => pod === b[n]);

  return ({ policies, namespaces, ownPods: shown, otherPods, wired, nodes: facts }) => {
    const mine = ownPods(wired, shown);
    if (others !== otherPods || !sameAs(own, mine.pods)) {
      others = otherPods;
      own = mine.pods;
      pods = [...mine.pods, ...otherPods];
    }
    // Whom no policy can select is open, whoever it is.
    const guarded = new Set(policies.map(policy => policy.namespace));
    const strangers = wired.filter(one => one.pod !== undefined && guarded.has(one.pod.namespace));
    const unknown = new Set(mine.unknown);
    return {
      self,
      policies,
      pods,
      namespaces,
      nodes: nodesOf(facts),
      unknown: strangers.flatMap(one => one.ips.filter(ip => unknown.has(ip))),
    };
  };
}
