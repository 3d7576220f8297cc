/**
 * The verbs by which weft speaks to a Linux kernel: one interface, three implementations
 * (netlink here, netlink lent by the CNI binary inside a pod's namespace, an in-memory fake
 * that prints itself). The contract test in test/contract runs on each.
 *
 * Every verb rejects with a LinuxError whose `code` is the errno name (`EEXIST`, `ENODEV`, …).
 */
import type { Cidr, Endpoint, Ip, PublicKey } from '../../types.ts';

export type LinkKind = 'bridge' | 'wireguard' | 'veth' | 'tun' | 'dummy' | 'other';

export type Link = {
  readonly index: number;
  readonly name: string;
  readonly kind: LinkKind;
  /** `02:…`, absent on links without a layer 2 address. */
  readonly mac: string | undefined;
  readonly mtu: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Index of the bridge it is a port of. */
  readonly master: number | undefined;
  /** Port isolation, for bridge ports. */
  readonly isolated: boolean | undefined;
};

export type LinkSpec = {
  readonly name: string;
  readonly kind: 'bridge' | 'wireguard' | 'dummy';
  readonly mac?: string;
  readonly mtu?: number;
};

/** What may be changed on a link; absent fields are left alone. `master` 0 frees a port. */
export type LinkChange = {
  readonly mac?: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly master?: number;
  readonly isolated?: boolean;
};

/** `address` with its prefix length: `10.42.0.1/32`. IPv6 addresses are always added without DAD. */
export type Address = {
  readonly link: string;
  readonly address: string;
  /** Said by `list` only: an IPv6 address that is temporary (RFC 8981), deprecated or not (yet) verified. */
  readonly fleeting?: true;
};

export type Route = {
  readonly dst: Cidr;
  readonly kind: 'unicast' | 'unreachable';
  /** Absent for unreachable routes. */
  readonly link?: string;
  readonly via?: Ip;
  /** With `via`: the gateway is on the link whatever the addresses say. */
  readonly onlink?: boolean;
  readonly src?: Ip;
  readonly mtu?: number;
  /** 0 (IPv4) or 1024 (IPv6) unless given, as the kernel has it. */
  readonly metric?: number;
};

/** Permanent neighbour entry. */
export type Neighbour = { readonly link: string; readonly ip: Ip; readonly mac: string };

export interface Links {
  list(): Promise<readonly Link[]>;
  /** Absent when there is no such link. */
  get(name: string): Promise<Link | undefined>;
  /** By index; absent when there is no such link. */
  at(index: number): Promise<Link | undefined>;
  add(spec: LinkSpec): Promise<void>;
  change(name: string, change: LinkChange): Promise<void>;
  remove(name: string): Promise<void>;
}

export interface Addresses {
  /** Of one link, or of all. Every address, ours or not. */
  list(link?: string): Promise<readonly Address[]>;
  add(address: Address): Promise<void>;
  remove(address: Address): Promise<void>;
}

/** `mtu` is absent where only the link's counts. */
export type Way = { readonly link: string; readonly src: Ip | undefined; readonly mtu?: number };

/** Of anybody, main table: where the underlay leaves. */
export type DefaultRoute = Route & { readonly protocol: number };

export interface Routes {
  /** Both of the following, of one moment and for the price of one. */
  read(): Promise<{ readonly ours: readonly Route[]; readonly defaults: readonly DefaultRoute[] }>;
  /** Those with our protocol number only, main table, both families. One that has not changed is the same object again. */
  ours(): Promise<readonly Route[]>;
  defaults(): Promise<readonly DefaultRoute[]>;
  /** Link by which a packet to `ip` would leave, the source it would take, and the MTU that the route or a router sets. */
  lookup(ip: Ip): Promise<Way | undefined>;
  /** Adds, or replaces the one with the same dst and metric. Protocol number is ours. */
  replace(route: Route): Promise<void>;
  remove(route: Route): Promise<void>;
}

export interface Neighbours {
  /** Permanent ones, of one link or of all. */
  permanent(link?: string): Promise<readonly Neighbour[]>;
  replace(neighbour: Neighbour): Promise<void>;
  remove(neighbour: Neighbour): Promise<void>;
}

export interface Sysctls {
  /** Key as a path beneath /proc/sys/net: `ipv4/conf/weft0/rp_filter`. Absent: the kernel has no such key. */
  read(key: string): Promise<string | undefined>;
  write(key: string, value: string): Promise<void>;
}

export type WgPeer = {
  readonly publicKey: PublicKey;
  readonly endpoint: Endpoint | undefined;
  readonly allowedIps: readonly Cidr[];
  /** Milliseconds since the epoch; 0 for never. */
  readonly latestHandshake: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Seconds; 0 for off. */
  readonly keepalive: number;
};

export type WgDevice = {
  readonly publicKey: PublicKey | undefined;
  readonly listenPort: number;
  readonly peers: readonly WgPeer[];
};

/** One change to a device. Only what is given is touched; never a replacement of all peers. */
export type WgChange =
  | { readonly kind: 'device'; readonly privateKey?: string; readonly listenPort?: number }
  | {
      readonly kind: 'peer';
      readonly publicKey: PublicKey;
      readonly endpoint?: Endpoint;
      readonly allowedIps?: readonly Cidr[];
      readonly keepalive?: number;
    }
  | { readonly kind: 'remove'; readonly publicKey: PublicKey };

export interface Wg {
  /** Absent when the device is not there or no engine answers for it; rejects with ETIMEDOUT where one hangs. */
  dump(link: string): Promise<WgDevice | undefined>;
  /** Peers and their networks, cheaper than a dump. Absent as there. */
  allowed(link: string): Promise<ReadonlyMap<PublicKey, readonly Cidr[]> | undefined>;
  /** Whether the last dump of this link was answered; false before the first. Asks nobody. */
  answered(link: string): boolean;
  /** All changes in one call of `wg set`, in the order given; private keys go by a pipe, never by argv. */
  set(link: string, changes: readonly WgChange[]): Promise<void>;
}

export type NftFamily = 'inet' | 'ip' | 'ip6' | 'bridge';

/** What a rule or a verdict map decides. */
export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

export type ElementChange = {
  readonly op: 'add' | 'delete';
  readonly set: string;
  /** Fields padded to 4 bytes each, network order; see `concatKey`. */
  readonly key: Buffer;
  /** Of a set of ranges (concatenated fields with `flags interval`): the last key of the range. */
  readonly keyEnd?: Buffer;
  /** Of a map: the value, padded likewise. */
  readonly data?: Buffer;
  /** Of a verdict map. An element whose value changes is deleted and added. */
  readonly verdict?: Verdict;
};

export interface Nft {
  /** One transaction. The error carries nft's own words and the text's line. */
  apply(text: string): Promise<void>;
  /** `nft -s list table FAMILY NAME`; absent when there is no such table. `terse` leaves out set elements. */
  list(family: string, table: string, terse?: boolean): Promise<string | undefined>;
  /** Packets that a table's named counters have counted; absent when there is no such table. */
  counters(family: string, table: string): Promise<Readonly<Record<string, number>> | undefined>;
  /** Packets that the counters of each set's elements have counted, by set; absent when there is no such table. */
  tallies(
    family: string,
    table: string,
    sets: readonly string[],
  ): Promise<Readonly<Record<string, number>> | undefined>;
  /** `nft -s list set FAMILY TABLE SET`; absent when there is no such set. */
  listSet(family: string, table: string, set: string): Promise<string | undefined>;
  /** Set elements in one atomic batch of up to 2,000, without a fork. Deleting what is not there is ENOENT. */
  elements(family: NftFamily, table: string, changes: readonly ElementChange[]): Promise<void>;
}

/**
 * `wire`: what is of pods, their links and the routes to each of them; `link` and `route` are the others. `nft`: the table
 * of the mesh; `policy`: that of policies; `fence`: the other tables about pods; `filter`: tables that are not weft's.
 * What `nft.elements` of this very kernel changes is no news.
 */
export type KernelEvent =
  | 'link'
  | 'address'
  | 'route'
  | 'wire'
  | 'neighbour'
  | 'nft'
  | 'policy'
  | 'fence'
  | 'filter';

export interface Kernel {
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly sysctls: Sysctls;
  readonly wg: Wg;
  readonly nft: Nft;
  /**
   * Calls back for each kind when listening has begun, and then on changes of the kind in this
   * namespace, not debounced; returns the way to stop.
   */
  watch(kinds: readonly KernelEvent[], onEvent: (kind: KernelEvent) => void): () => void;
  /** Number of processes spawned and of changing calls so far, for tests and metrics. */
  counts(): { readonly spawns: number; readonly changes: number };
  close(): Promise<void>;
}
