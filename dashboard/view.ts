/** Agents' answers → what is shown. Pure; the order of the answers does not matter. */
import { edgesOf } from '../command/pairs.ts';
import { ownTroubles } from '../command/troubles.ts';
import { type PeerState, STATES } from '../mesh/state.ts';
import { type Circle, layout, type Point } from './layout.ts';
import type { LinkView, NodeState, NodeView, Problem, Report, ReportedPeer, View } from './types.ts';

const worse = (a: PeerState, b: PeerState): PeerState => (STATES.indexOf(a) >= STATES.indexOf(b) ? a : b);

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const reasonsOf = ({ node, status, error }: Report): readonly string[] => {
  if (status === undefined) return error === undefined ? [] : [error];
  return ownTroubles(node, status).map(({ about, message }) => `${about}: ${message}`);
};

const stateOf = ({ status }: Report, reasons: readonly string[]): NodeState => {
  if (status === undefined) return 'unknown';
  const troubled = !status.ready || reasons.length > 0 || status.peers.some(p => p.state !== 'established');
  return troubled ? 'trouble' : 'ready';
};

/** Nodes that say no location stand together. */
const locationOf = ({ location }: Report): string => location ?? '';

function nodeView(report: Report, { x, y }: Point): NodeView {
  const { node, status } = report;
  const reasons = reasonsOf(report);
  return {
    name: node,
    location: locationOf(report),
    state: stateOf(report, reasons),
    reasons,
    version: status?.version,
    engine: status?.engine.kind,
    mtu: status?.mtu,
    podCidrs: status?.podCidrs ?? [],
    pods: status?.pods.length,
    peers: status?.peers ?? [],
    x,
    y,
  };
}

type Side = { readonly from: string; readonly peer: ReportedPeer };

const sidesOf = (reports: readonly Report[]): readonly Side[] =>
  reports.flatMap(r => (r.status?.peers ?? []).map(peer => ({ from: r.node, peer })));

const pairOf = ({ from, peer }: Side): string => [from, peer.node].sort(byText).join('\n');

function linkView(pair: string, sides: readonly Side[]): LinkView {
  const [a = '', b = ''] = pair.split('\n');
  const rtts = sides.flatMap(({ peer }) => peer.rttMs ?? []);
  return {
    a,
    b,
    state: sides.map(({ peer }) => peer.state).reduce(worse),
    path: sides[0]?.peer.path ?? 'direct',
    rttMs: rtts.length > 0 ? Math.min(...rtts) : undefined,
  };
}

/** In the words of `weft peers`, with what the other end says. */
const problemsOf = (reports: readonly Report[]): readonly Problem[] =>
  edgesOf(reports.map(({ node, status, error }) => ({ node, report: status, error })))
    .filter(({ peer }) => peer.state !== 'established')
    .map(({ from, peer, reason }) => ({
      from,
      to: peer.node,
      state: peer.state,
      reason: reason ?? 'the agent gives no reason',
    }))
    .sort(
      (a, b) =>
        STATES.indexOf(b.state) - STATES.indexOf(a.state) || byText(a.from, b.from) || byText(a.to, b.to),
    );

const count = (links: readonly LinkView[]): View['states'] => {
  const states = { established: 0, connecting: 0, pending: 0, retrying: 0, failed: 0 };
  for (const { state } of links) states[state] += 1;
  return states;
};

/** Nodes that only others speak of are shown too, as unknown: nobody asked them, and that is no trouble. */
function complete(reports: readonly Report[]): readonly Report[] {
  const known = new Set(reports.map(r => r.node));
  const others = new Set(reports.flatMap(r => (r.status?.peers ?? []).map(p => p.node)));
  const missing = [...others].filter(node => !known.has(node));
  return [
    ...reports,
    ...missing.map(node => ({
      node,
      location: undefined,
      status: undefined,
      error: undefined,
    })),
  ];
}

export function viewOf(given: readonly Report[]): View {
  const reports = complete(given).toSorted(
    (a, b) => byText(locationOf(a), locationOf(b)) || byText(a.node, b.node),
  );
  const groups = [...Map.groupBy(reports, locationOf)];
  const { circles, points } = layout(groups.map(([, members]) => members.map(r => r.node)));
  const sides = sidesOf(reports);
  const links = [...Map.groupBy(sides, pairOf)]
    .map(([pair, both]) => linkView(pair, both))
    .sort((l, m) => byText(l.a, m.a) || byText(l.b, m.b));
  return {
    nodes: reports.map(r => nodeView(r, points.get(r.node) as Point)),
    links,
    problems: problemsOf(given),
    locations: groups.map(([name], n) => ({ name, ...(circles[n] as Circle) })),
    states: count(links),
  };
}
