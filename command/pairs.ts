/** Both ends of a pair side by side: what one of them alone cannot know. Pure. */
import { duration } from '../mesh/reasons.ts';
import { type PeerState, STATES } from '../mesh/state.ts';
import type { PeerStatus } from '../mesh/status.ts';

/** Of a peer what is needed here; an agent of another version may leave some away. */
type Told = {
  readonly node: string;
  readonly state: PeerState;
  readonly reason?: string | undefined;
  readonly receivedAgeMs?: number | undefined;
  readonly publicKey?: string | undefined;
};

/** One agent's answer, or why there is none. */
type End<P> = {
  readonly node: string;
  readonly report:
    | {
        readonly publicKey?: string | undefined;
        readonly engine?: { readonly kind: string } | undefined;
        readonly peers: readonly P[];
      }
    | undefined;
  readonly error: string | undefined;
};

export type Edge<P = PeerStatus> = {
  readonly from: string;
  readonly peer: P;
  /** Of the peer that is not established, with what the other end says; undefined where it is. */
  readonly reason: string | undefined;
};

/** Older than this is not now. */
const NOW_MS = 20_000;

/** What the other end knows of the way from `from` to it. */
function otherSide<P extends Told>(from: string, peer: P, other: End<P> | undefined): string | undefined {
  if (other === undefined) return undefined;
  if (other.report === undefined) return `the agent on ${peer.node} cannot be asked either: ${other.error}`;
  if (other.report.engine?.kind === 'none')
    return `${peer.node} has no WireGuard now: see what is said of it`;
  const back = other.report.peers.find(p => p.node === from);
  if (back === undefined) return `${peer.node} does not have ${from} among its peers: see weft status on it`;
  if (
    back.publicKey !== undefined &&
    other.report.publicKey !== undefined &&
    other.report.publicKey !== peer.publicKey
  )
    return `${peer.node} has another key than it is known by here: its agent's annotation has not arrived`;
  if (back.receivedAgeMs !== undefined && back.receivedAgeMs <= NOW_MS)
    return `${peer.node} does receive from ${from}: only the way back is cut`;
  const since = back.receivedAgeMs === undefined ? 'nothing' : `nothing for ${duration(back.receivedAgeMs)}`;
  return `${peer.node} has received ${since} from ${from} either: both ways are cut`;
}

/** Only of a peer from whom nothing comes does the other end know more. */
const reasonWith = <P extends Told>(from: string, peer: P, other: End<P> | undefined): string | undefined => {
  if (peer.reason === undefined) return undefined;
  const silent = peer.receivedAgeMs === undefined || peer.receivedAgeMs > NOW_MS;
  const more = silent ? otherSide(from, peer, other) : undefined;
  return more === undefined ? peer.reason : `${peer.reason}; ${more}`;
};

/** One edge a direction, sorted by its ends. */
export function edgesOf<P extends Told>(nodes: readonly End<P>[]): readonly Edge<P>[] {
  const byName = new Map(nodes.map(n => [n.node, n]));
  return nodes.flatMap(({ node, report }) =>
    (report?.peers ?? []).map(peer => ({
      from: node,
      peer,
      reason: reasonWith(node, peer, byName.get(peer.node)),
    })),
  );
}

/** Of one direction alone; undefined: they are no peers. */
export function edgeOf<P extends Told>(
  nodes: readonly End<P>[],
  from: string,
  to: string,
): Edge<P> | undefined {
  const peer = nodes.find(n => n.node === from)?.report?.peers.find(p => p.node === to);
  const other = nodes.find(n => n.node === to);
  return peer && { from, peer, reason: reasonWith(from, peer, other) };
}

/** How many of each state there are. */
export const countStates = (peers: readonly PeerStatus[]): Readonly<Record<PeerState, number>> =>
  Object.fromEntries(STATES.map(state => [state, peers.filter(p => p.state === state).length])) as Record<
    PeerState,
    number
  >;
