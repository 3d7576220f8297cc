/** The mesh as one value. Data only; plan.ts makes it, the renderers read it. */
import type { NodeFact } from '../discovery/types.ts';
import type { Cidr, Endpoint, Ip, PublicKey } from '../types.ts';

export type MeshSettings = {
  /** Empty: the union of all Nodes' podCIDRs. */
  readonly clusterCidrs: readonly Cidr[];
  readonly listenPort: number;
  /** Seconds; a peer's or the own annotation overrides it. */
  readonly keepalive: number;
  /** MTU of the tunnel. */
  readonly mtu: number;
  readonly masquerade: boolean;
  /** Destinations that pods reach with their own address though they are outside the cluster. */
  readonly unmasked: readonly Cidr[];
  /** Links from which pods may be reached, and by which they may leave, without the tunnel. */
  readonly directLinks: readonly string[];
};

/** All that the plan is made from. */
export type MeshFacts = {
  readonly self: { readonly name: string; readonly publicKey: PublicKey };
  readonly nodes: readonly NodeFact[];
  /** Host names of force-endpoint annotations → the addresses they resolved to. */
  readonly resolved: ReadonlyMap<string, readonly Ip[]>;
  readonly settings: MeshSettings;
  /** What paths carry that carry less than the tunnel's MTU. */
  readonly limits?: ReadonlyMap<PublicKey, PathLimit>;
};

/** Bytes of a packet inside the tunnel, and what keeps it so small. */
export type PathLimit = { readonly mtu: number; readonly why: 'underlay' | 'black hole' };

/** Later also through a relay; AllowedIPs never depend on it. */
export type Path = { readonly kind: 'direct' };

export type PeerPlan = {
  readonly node: string;
  readonly publicKey: PublicKey;
  /** Ranked, best first; empty where the peer must call us. */
  readonly endpoints: readonly Endpoint[];
  readonly allowedIps: readonly Cidr[];
  /** Gateway addresses of the peer, where its agent answers probes. */
  readonly gateways: readonly Ip[];
  readonly keepalive: number;
  readonly path: Path;
  /** Absent where the path carries what the tunnel takes. */
  readonly limit?: PathLimit;
};

/**
 * `missing`: facts are not there yet; `occupied`: our own node works for another pod network; the others: an older Node
 * holds the same key or an overlapping podCIDR, or it is of no use.
 */
export type ExclusionKind = 'missing' | 'key' | 'podCidr' | 'occupied';

/** A Node that is not a peer, with the reason in words and what to do. */
export type Exclusion = { readonly node: string; readonly kind: ExclusionKind; readonly reason: string };

/** Something that the user should know, about a node that stays in the mesh. */
export type Warning = { readonly node: string; readonly message: string };

export type MeshPlan = {
  readonly self: {
    readonly name: string;
    readonly podCidrs: readonly Cidr[];
    /** First usable address of each pod CIDR. */
    readonly gateways: readonly Ip[];
  };
  /** Sorted by node name. */
  readonly peers: readonly PeerPlan[];
  readonly excluded: readonly Exclusion[];
  readonly warnings: readonly Warning[];
  /** Sorted, IPv4 first, without overlaps. */
  readonly clusterCidrs: readonly Cidr[];
  /** Other nodes' addresses within `settings.unmasked`: towards these pods have the node's address. Sorted. */
  readonly unmaskedNodes: readonly Ip[];
  readonly settings: MeshSettings;
};
