/** What the dashboard shows, as data. `view.ts` makes it from the agents' answers; `html.ts` and `picture.ts` draw it. */
import type { Told } from '../command/troubles.ts';
import type { PeerState } from '../mesh/status.ts';

/** One agent's answer, or why there is none. Only what the page shows of `/status`. */
export type Report = {
  readonly node: string;
  /** As last known, so that a node whose agent falls silent keeps its place. */
  readonly location: string | undefined;
  readonly status: ReportedStatus | undefined;
  /** Why there is no status; neither of the two: nobody asked. */
  readonly error: string | undefined;
};

export type ReportedPeer = {
  readonly node: string;
  readonly state: PeerState;
  readonly reason?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly path: string;
  readonly handshakeAgeMs?: number | undefined;
  readonly receivedAgeMs?: number | undefined;
  readonly answeredAgeMs?: number | undefined;
  readonly rttMs?: number | undefined;
  readonly loss?: number | undefined;
  readonly mtu?: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
};

export type ReportedStatus = Told & {
  readonly version: string;
  readonly ready: boolean;
  readonly engine: { readonly kind: string; readonly reason?: string | undefined };
  readonly mtu?: number | undefined;
  readonly podCidrs: readonly string[];
  readonly endpoints: readonly unknown[];
  readonly peers: readonly ReportedPeer[];
  readonly pods: readonly unknown[];
};

/** `unknown`: its agent did not answer. */
export type NodeState = 'ready' | 'trouble' | 'unknown';

export type NodeView = {
  readonly name: string;
  readonly location: string;
  readonly state: NodeState;
  /** Sentences, empty when all is well. */
  readonly reasons: readonly string[];
  readonly version: string | undefined;
  readonly engine: string | undefined;
  readonly mtu: number | undefined;
  readonly podCidrs: readonly string[];
  readonly pods: number | undefined;
  readonly peers: readonly ReportedPeer[];
  /** Middle of the node in the picture, 0 to 1000 each way. */
  readonly x: number;
  readonly y: number;
};

/** Both directions of a pair; the worse state counts. */
export type LinkView = {
  readonly a: string;
  readonly b: string;
  readonly state: PeerState;
  readonly path: string;
  readonly rttMs: number | undefined;
};

/** One direction that is not as it should be. */
export type Problem = {
  readonly from: string;
  readonly to: string;
  readonly state: PeerState;
  readonly reason: string;
};

export type View = {
  /** Sorted by location, then name. */
  readonly nodes: readonly NodeView[];
  /** Sorted by a, then b; a < b. */
  readonly links: readonly LinkView[];
  readonly problems: readonly Problem[];
  readonly locations: readonly {
    readonly name: string;
    readonly x: number;
    readonly y: number;
    readonly r: number;
  }[];
  readonly states: Readonly<Record<PeerState, number>>;
};
