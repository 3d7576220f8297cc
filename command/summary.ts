/** Agents' statuses → what `weft status` says of the whole. Pure. */
import type { StatusReport } from '../agent/report.ts';
import { fillOf, type PoolFigures } from '../cni/pools.ts';
import type { PeerState } from '../mesh/status.ts';
import { countStates, edgesOf } from './pairs.ts';
import type { MeshReport } from './reports.ts';
import { apiText, ownTroubles, type Trouble } from './troubles.ts';

/** A fact and the nodes that share it; a mesh that is as it should be has one line of each. */
export type Shared = { readonly value: string; readonly nodes: readonly string[] };

export type Summary = {
  readonly ok: boolean;
  readonly nodes: number;
  /** Whose agents answered. */
  readonly answered: number;
  readonly ready: number;
  readonly peers: Readonly<Record<PeerState, number>>;
  /** How old the figures of established peers may be, and how old the oldest is. */
  readonly measured: { readonly roundMs: number | undefined; readonly oldestMs: number | undefined };
  readonly versions: readonly Shared[];
  readonly engines: readonly Shared[];
  readonly mtus: readonly Shared[];
  readonly addresses: readonly Shared[];
  readonly policies: readonly Shared[];
  readonly api: readonly Shared[];
  readonly pods: number;
  /** The podCIDR with the largest share of addresses used. */
  readonly fullest: (PoolFigures & { readonly node: string }) | undefined;
  readonly troubles: readonly Trouble[];
};

type Node = { readonly node: string; readonly report: StatusReport };

function shared(nodes: readonly Node[], of: (report: StatusReport) => string): readonly Shared[] {
  const by = new Map<string, string[]>();
  for (const { node, report } of nodes) {
    const value = of(report);
    by.set(value, [...(by.get(value) ?? []), node]);
  }
  return [...by].map(([value, names]) => ({ value, nodes: names }));
}

const ENGINES: Readonly<Record<string, string>> = {
  kernel: 'WireGuard of the kernel',
  'wireguard-go': 'WireGuard by wireguard-go',
};

const engineOf = ({ engine }: StatusReport): string =>
  engine.kind === 'none' ? `none: ${engine.reason}` : (ENGINES[engine.kind] ?? engine.kind);

const policyOf = ({ policy }: StatusReport): string => {
  if (policy === undefined) return 'not enforced by this version';
  if (!policy.enabled) return 'off by the setting networkPolicy';
  return policy.known ? 'enforced' : 'not known yet: as at the last start, and new pods wait';
};

/** Which kinds of addresses are in use between the nodes. */
const addressesOf = (report: StatusReport): string => {
  const used = report.peers.flatMap(p => (p.endpoint === undefined ? [] : [p.endpointSource ?? 'unknown']));
  const families = report.peers.flatMap(p =>
    p.endpoint === undefined ? [] : [p.endpoint.startsWith('[') ? 'IPv6' : 'IPv4'],
  );
  const words = [...new Set([...used].sort()), ...[...new Set(families)].sort()];
  return words.join(', ') || 'none';
};

const most = (all: readonly (number | undefined)[]): number | undefined => {
  const known = all.filter(ms => ms !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => Math.max(a, b));
};

const measuredOf = (nodes: readonly Node[]): Summary['measured'] => ({
  roundMs: most(nodes.map(({ report }) => report.probes?.roundMs)),
  oldestMs: most(
    nodes.flatMap(({ report }) =>
      report.peers.filter(p => p.state === 'established').map(p => p.answeredAgeMs),
    ),
  ),
});

const fullestOf = (nodes: readonly Node[]): Summary['fullest'] =>
  nodes
    .flatMap(({ node, report }) => (report.cni?.pools ?? []).map(pool => ({ node, ...pool })))
    .toSorted((a, b) => fillOf(b) - fillOf(a))[0];

/** What every node says alike is said once. */
function once(troubles: readonly Trouble[], nodes: number): readonly Trouble[] {
  const by = new Map<string, Trouble[]>();
  for (const trouble of troubles) {
    const key = `${trouble.about}\n${trouble.message}`;
    by.set(key, [...(by.get(key) ?? []), trouble]);
  }
  return [...by.values()].flatMap(same =>
    nodes > 2 && same.length >= nodes - 1 && same[0] !== undefined
      ? [{ ...same[0], node: `${same.length} nodes` }]
      : same,
  );
}

export function summarize(mesh: MeshReport): Summary {
  const nodes = mesh.nodes.flatMap(({ node, report }): Node[] =>
    report === undefined ? [] : [{ node, report }],
  );
  const unasked = mesh.nodes.flatMap(({ node, error }): Trouble[] =>
    error === undefined ? [] : [{ node, about: 'agent', message: error }],
  );
  const peers = edgesOf(mesh.nodes);
  // Without a WireGuard of its own a node reaches nobody, which is said once.
  const mute = new Set(nodes.filter(n => n.report.engine.kind === 'none').map(n => n.node));
  const broken = peers.flatMap(({ from, peer, reason }): Trouble[] =>
    peer.state === 'established' || mute.has(from)
      ? []
      : [{ node: from, about: `peer ${peer.node}`, message: `${peer.state}: ${reason}` }],
  );
  const own = once(
    nodes.flatMap(({ node, report }) => ownTroubles(node, report).map(t => ({ node, ...t }))),
    nodes.length,
  );
  const troubles = [...unasked, ...own, ...broken];
  return {
    ok: troubles.length === 0,
    nodes: mesh.nodes.length,
    answered: nodes.length,
    ready: nodes.filter(({ report }) => report.ready).length,
    peers: countStates(peers.map(edge => edge.peer)),
    measured: measuredOf(nodes),
    versions: shared(nodes, r => r.version),
    engines: shared(nodes, engineOf),
    mtus: shared(nodes, r => String(r.mtu ?? 'unknown')),
    addresses: shared(nodes, addressesOf),
    policies: shared(nodes, policyOf),
    api: shared(nodes, r => apiText(r.api)),
    pods: nodes.reduce((sum, { report }) => sum + report.pods.length, 0),
    fullest: fullestOf(nodes),
    troubles,
  };
}
