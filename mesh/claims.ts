/**
 * What every Node claims for itself, a key and podCIDRs, and whom it is refused. Pure but for its memory.
 *
 * Public keys are public, so a newcomer that shows another Node's key must harm only itself:
 * Nodes come oldest first, and what an older one holds no newer one gets.
 */
import type { NodeFact } from '../discovery/types.ts';
import { cidrRange } from '../ip.ts';
import type { Cidr } from '../types.ts';
import type { ExclusionKind } from './types.ts';

type Held = { readonly first: bigint; readonly last: bigint; readonly cidr: Cidr; readonly node: string };

/** Held ranges of one family, sorted and without overlap, so that a look needs one binary search. */
type Ledger = Held[];

const position = (ledger: Ledger, first: bigint): number => {
  let low = 0;
  let high = ledger.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ledger[middle] as Held).first <= first) low = middle + 1;
    else high = middle;
  }
  return low;
};

const overlapping = (ledger: Ledger, first: bigint, last: bigint): Held | undefined => {
  const at = position(ledger, first);
  const before = ledger[at - 1];
  const next = ledger[at];
  if (before !== undefined && before.last >= first) return before;
  return next !== undefined && next.first <= last ? next : undefined;
};

export type Refusal = { readonly kind: ExclusionKind; readonly reason: string };

const missing = (node: NodeFact): Refusal | undefined => {
  const because = (reason: string): Refusal => ({ kind: 'missing', reason });
  if (node.podCidrs.length === 0)
    return because(
      'has no spec.podCIDRs yet: they come from kube-controller-manager (--allocate-node-cidrs) or from k3s',
    );
  if (node.publicKey === undefined)
    return because('has published no weft.network/public-key: is its weft agent running?');
  return undefined;
};

/** A network without room for a gateway and one pod. */
const tooSmall = (node: NodeFact): Refusal | undefined => {
  const small = node.podCidrs.find(cidr => cidrRange(cidr).last - cidrRange(cidr).first < 3n);
  return small === undefined
    ? undefined
    : {
        kind: 'podCidr',
        reason: `has podCIDR ${small}, which has no room for a gateway and pods: give the cluster a larger node CIDR (kube-controller-manager --node-cidr-mask-size)`,
      };
};

const sameClaim = (a: NodeFact, b: NodeFact | undefined): boolean =>
  a === b || (a.name === b?.name && a.publicKey === b.publicKey && a.podCidrs.join() === b.podCidrs.join());

let last: { readonly nodes: readonly NodeFact[]; readonly refused: ReadonlyMap<string, Refusal> } = {
  nodes: [],
  refused: new Map(),
};

/**
 * Node name → why it cannot be a peer. `nodes` oldest first. Remembers: nodes move all the time, and what they claim
 * changes seldom.
 */
export function claims(nodes: readonly NodeFact[]): ReadonlyMap<string, Refusal> {
  const known =
    nodes.length === last.nodes.length && nodes.every((node, n) => sameClaim(node, last.nodes[n]));
  last = { nodes, refused: known ? last.refused : settle(nodes) };
  return last.refused;
}

function settle(nodes: readonly NodeFact[]): ReadonlyMap<string, Refusal> {
  const keys = new Map<string, string>();
  const ledgers: { readonly 4: Ledger; readonly 6: Ledger } = { 4: [], 6: [] };
  const refused = new Map<string, Refusal>();
  for (const node of nodes) {
    const refusal = tooSmall(node) ?? clash(node, keys, ledgers) ?? missing(node);
    if (refusal !== undefined) refused.set(node.name, refusal);
  }
  return refused;
}

/** Enters a Node's claims, or says with whom they clash and enters none of them. */
function clash(
  node: NodeFact,
  keys: Map<string, string>,
  ledgers: { readonly 4: Ledger; readonly 6: Ledger },
): Refusal | undefined {
  const holder = node.publicKey && keys.get(node.publicKey);
  if (holder !== undefined)
    return {
      kind: 'key',
      reason: `shows the public key of the older Node ${holder}: that one keeps it; a cloned disk or a copied annotation? Delete ${node.name}'s /var/lib/weft/key.json and restart its agent`,
    };
  const ranges = node.podCidrs.map(cidr => ({ ...cidrRange(cidr), cidr, node: node.name }));
  for (const range of ranges) {
    const other = overlapping(ledgers[range.family], range.first, range.last);
    if (other !== undefined)
      return {
        kind: 'podCidr',
        reason: `has podCIDR ${range.cidr}, which overlaps ${other.cidr} of the older Node ${other.node}: that one keeps it; delete the Node ${node.name} so that it gets another`,
      };
  }
  if (node.publicKey !== undefined) keys.set(node.publicKey, node.name);
  for (const range of ranges) {
    const ledger = ledgers[range.family];
    ledger.splice(position(ledger, range.first), 0, range);
  }
  return undefined;
}
