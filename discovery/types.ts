/** Who is there: what the API server says of the nodes, parsed once into facts. Data only. */
import type { Cidr, Endpoint, Ip, PublicKey } from '../types.ts';

/** How an endpoint was found; also its annotation spelling. */
export type CandidateType = 'host' | 'ext' | 'srflx' | 'portmap';

export type Candidate = { readonly t: CandidateType; readonly a: Endpoint };

/** `host` is an Ip or a DNS name. */
export type HostPort = { readonly host: string; readonly port: number };

/** One annotation that does not parse. The rest of the Node counts all the same. */
export type AnnotationError = {
  readonly annotation: string;
  readonly value: string;
  /** What is wrong and what would be right. */
  readonly message: string;
};

/** All that weft knows of one Node. */
export type NodeFact = {
  readonly name: string;
  readonly uid: string;
  /** metadata.creationTimestamp, RFC 3339. */
  readonly createdAt: string;
  /** spec.podCIDRs; empty until the controller manager has set them. */
  readonly podCidrs: readonly Cidr[];
  readonly publicKey: PublicKey | undefined;
  /** The Node shows no key any more; this is the last that it showed. */
  readonly keyGone?: true;
  /** The Node says that it leaves the mesh. */
  readonly left?: true;
  readonly endpoints: readonly Candidate[];
  readonly forceEndpoint: HostPort | undefined;
  /** weft.network/location, else the label topology.kubernetes.io/region. */
  readonly location: string | undefined;
  /** Seconds, 0–65535. */
  readonly keepalive: number | undefined;
  readonly relay: boolean;
  readonly errors: readonly AnnotationError[];
};

/** What of the own Node is needed to find candidates. */
export type OwnAddresses = {
  readonly internal: readonly Ip[];
  readonly external: readonly Ip[];
};

/** State of the watch, for status and readiness. */
export type WatchState = {
  /** A full list has been seen since start. */
  readonly synced: boolean;
  readonly connected: boolean;
  /** Last error in words, while not connected. */
  readonly error: string | undefined;
  readonly restarts: number;
};
