/**
 * NetworkPolicy as data: what the API says, parsed; the compiled rule set of one node; the
 * verdict on one packet. Data only.
 *
 * The room's verbs: parse.ts `parsePolicy`, `parsePod`, `parseNamespace`: `(object: unknown) => Result<…>`.
 * compile.ts `newCompiler(): (cluster: Cluster) => RuleSet`, which remembers and does only what changed.
 * diff.ts `diff(old: RuleSet, wanted: RuleSet)` and `diffTable(kernel: Table, wanted: RuleSet)`:
 * `readonly Operation[]`. render.ts `renderTable(rules: RuleSet): string` (whole table, replaces an old
 * one), `renderOperations(operations): string` (one transaction). table.ts `tableOf(rules): Table`.
 * permits.ts `permits(rules, packet): boolean`: what the kernel decides, without words, for
 * established connections. evaluate.ts `evaluate(cluster, packet): Verdict`; words.ts says it.
 */
import type { Family } from '../ip.ts';
import type { Brand, Cidr, Ip } from '../types.ts';

// ---------------------------------------------------------------- what the API says

/** `namespace/name` of a Pod. */
export type PodKey = Brand<string, 'PodKey'>;

/** `namespace/name` of a NetworkPolicy. */
export type PolicyKey = Brand<string, 'PolicyKey'>;

export type Labels = ReadonlyMap<string, string>;

/** What a NetworkPolicy can name; everything else has no ports and is met only by rules without ports. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export type Direction = 'ingress' | 'egress';

export type ContainerPort = { readonly name: string; readonly protocol: Protocol; readonly port: number };

export type Pod = {
  readonly key: PodKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Labels;
  /** Its addresses, at most one a family; empty while it has none. Of hostNetwork pods the node's. */
  readonly ips: readonly Ip[];
  /** spec.nodeName; empty while it is not scheduled. */
  readonly node: string;
  readonly hostNetwork: boolean;
  /** Succeeded or Failed: its address may be another pod's by now. Terminating pods are not done. */
  readonly done: boolean;
  /** Those with a name, of containers and of sidecars. */
  readonly ports: readonly ContainerPort[];
};

export type Namespace = { readonly name: string; readonly labels: Labels };

export type NodeFacts = {
  readonly name: string;
  /** Its own, as its agent publishes them. */
  readonly addresses: readonly Ip[];
  /** Its gateway addresses, one a podCIDR: what its own traffic carries inside the tunnel. */
  readonly gateways: readonly Ip[];
};

export type Requirement =
  | { readonly kind: 'in'; readonly label: string; readonly values: ReadonlySet<string> }
  | { readonly kind: 'notIn'; readonly label: string; readonly values: ReadonlySet<string> }
  | { readonly kind: 'exists'; readonly label: string }
  | { readonly kind: 'absent'; readonly label: string };

/** All requirements must hold; none: everything. `text` is canonical: equal text, equal meaning. */
export type Selector = { readonly requirements: readonly Requirement[]; readonly text: string };

export type Peer =
  | {
      readonly kind: 'pods';
      /** Absent: the policy's own namespace. */
      readonly namespaces: Selector | undefined;
      /** Absent in the policy: all pods. */
      readonly pods: Selector;
    }
  | { readonly kind: 'block'; readonly cidr: Cidr; readonly excepts: readonly Cidr[] }
  /** Did not parse: meets nobody. */
  | { readonly kind: 'broken' };

export type Port =
  | { readonly kind: 'range'; readonly protocol: Protocol; readonly first: number; readonly last: number }
  /** Resolved at each destination pod, name and protocol. */
  | { readonly kind: 'named'; readonly protocol: Protocol; readonly name: string }
  /** Did not parse: meets nothing. */
  | { readonly kind: 'broken' };

/** Lists that are absent mean all: any peer, also outside the cluster; any port and any protocol. */
export type Rule = {
  readonly peers: readonly Peer[] | undefined;
  readonly ports: readonly Port[] | undefined;
};

export type Policy = {
  readonly key: PolicyKey;
  readonly namespace: string;
  readonly name: string;
  readonly pods: Selector;
  /** Rules of a direction that the policy isolates; absent: the policy does not speak of it. */
  readonly ingress: readonly Rule[] | undefined;
  readonly egress: readonly Rule[] | undefined;
  /** What of it does not parse, and therefore meets nobody. */
  readonly errors: readonly FieldError[];
};

export type FieldError = {
  /** `spec.ingress[0].from[1].ipBlock.cidr` */
  readonly field: string;
  /** What is wrong, what follows from it, and what to do. */
  readonly message: string;
};

/** All that a node's rule set is made from. The order of lists never matters. */
export type Cluster = {
  /** Own node's name. */
  readonly self: string;
  readonly policies: readonly Policy[];
  /** Of the whole cluster; own pods may be told before the API shows an address, with that of their lease. */
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly NodeFacts[];
  /** Addresses in use on this node whose pod is not known yet: closed both ways. */
  readonly unknown: readonly Ip[];
};

// ---------------------------------------------------------------- the rule set of one node

/** Name of a chain, `in-` or `eg-` and a hash: the same for the same policies and shape, on every start. */
export type ChainId = Brand<string, 'ChainId'>;

/**
 * Sets of a chain. `port`: protocol and port, from anybody. `peer`: an address, all of its traffic.
 * `exact`: address, protocol and port. `pod-box`: address, protocol and a range of ports.
 * `box`: ranges of all three. Ranges in one set never overlap.
 */
export type SetKind = 'port' | 'peer' | 'exact' | 'pod-box' | 'box';

/** Element of a set as nft prints and reads it: `10.42.1.7 . tcp . 80`, `10.0.0.0/8 . tcp . 80-90`. */
export type ElementText = Brand<string, 'ElementText'>;

/** What a rule wants to know of a pod behind an address; nodes have no ports with names. */
export type Member = Pick<Pod, 'ports'>;

/**
 * Pods that one peer of a rule means, by address: mostly one an address, two while one is reused. Or
 * nodes by gateway address. Shared by all chains that name it.
 */
export type Group = { readonly key: string; readonly members: ReadonlyMap<Ip, readonly Member[]> };

export type Span = { readonly first: number; readonly last: number };

/** Inclusive in all three; protocols and ports as numbers, addresses of one family. */
export type Box = {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
  readonly protocols: Span;
  readonly ports: Span;
};

/** One thing that a chain lets pass; a packet passes when any does. */
export type Entry =
  | { readonly kind: 'port'; readonly protocol: Protocol; readonly port: number }
  | { readonly kind: 'pods'; readonly group: Group; readonly ports: readonly Port[] | undefined };

/** What a class of own pods, those that the same policies select, may receive or send. */
export type Chain = {
  readonly id: ChainId;
  readonly direction: Direction;
  readonly families: readonly Family[];
  /** Those that isolate, sorted. */
  readonly policies: readonly PolicyKey[];
  /** Sets that it has, in the order of its rules; follows from the policies alone, never from pods. */
  readonly sets: readonly SetKind[];
  readonly entries: readonly Entry[];
  /** Networks. Disjoint, sorted. */
  readonly boxes: readonly Box[];
};

/** `pending` is the chain of addresses whose pod is not known: it drops everything. */
export type Target = ChainId | 'pending';

/** Compiled rules of one node. Parts that did not change between two compilations are the same objects. */
export type RuleSet = {
  readonly chains: ReadonlyMap<ChainId, Chain>;
  /** Own pods' addresses that are isolated, and by which chain; absent: everything passes. */
  readonly ingress: ReadonlyMap<Ip, Target>;
  readonly egress: ReadonlyMap<Ip, Target>;
  /** Own pods' addresses that have a class: what one sends to itself through a Service always passes. */
  readonly own: ReadonlySet<Ip>;
};

/** Names of the table's fixed sets and maps. */
export type FixedSet = 'ingress4' | 'ingress6' | 'egress4' | 'egress6' | 'self4' | 'self6';

/**
 * The difference of two rule sets, in an order in which nothing ever passes that both rule sets
 * forbid: chains are born complete, then deletions, then moves of pods, all moves as one step (what
 * one end lets go before, and the other after, must not meet), then additions. In one transaction
 * there is also no moment in which something is dropped that both allow.
 */
export type Operation =
  /** Its sets with all elements, then its rules; written anew where the kernel has it already. */
  | { readonly kind: 'addChain'; readonly chain: Chain }
  | {
      readonly kind: 'deleteElements' | 'addElements';
      /** `in-…-exact4`, or `self4`, whose elements are pairs: `10.42.1.7 . 10.42.1.7`. */
      readonly set: string;
      readonly elements: readonly ElementText[];
    }
  /**
   * Element of a verdict map: `jump`, never `goto`, since after egress comes ingress. An address
   * moves by deletion and addition, in one transaction.
   */
  | {
      readonly kind: 'bind';
      readonly map: FixedSet;
      readonly ip: Ip;
      readonly from: Target | undefined;
      readonly to: Target | undefined;
    }
  | { readonly kind: 'deleteChain'; readonly id: ChainId; readonly sets: readonly string[] };

/** The whole table as plain data: what a kernel listing can be compared with. */
export type Table = {
  /** Chains of classes by name, each with its rules as text. */
  readonly chains: ReadonlyMap<ChainId, readonly string[]>;
  readonly sets: ReadonlyMap<string, ReadonlySet<ElementText>>;
  /** `ingress4` … `egress6`. */
  readonly maps: ReadonlyMap<FixedSet, ReadonlyMap<Ip, Target>>;
};

// ---------------------------------------------------------------- one packet

/** The first packet of a connection as the forward hook sees it: after DNAT, before masquerading. */
export type Packet = {
  readonly src: Ip;
  readonly dst: Ip;
  /** ICMP stands for all that has no ports: ICMP, ICMPv6, ESP and so on. */
  readonly protocol: Protocol | 'ICMP';
  /** Destination port; 0 where there are none. */
  readonly port: number;
};

/** A rule that allows: `spec.ingress[rule].from[peer]`, `.ports[port]`; absent where the rule lists none. */
export type Decision = {
  readonly policy: PolicyKey;
  readonly rule: number;
  readonly peer: number | undefined;
  readonly port: number | undefined;
};

/** A rule whose peer fits and whose ports do not, or the other way round. */
export type NearMiss = {
  readonly policy: PolicyKey;
  readonly rule: number;
  readonly fits: 'peer' | 'port';
};

/** Why no policy speaks at this end. */
export type Exemption =
  /** The address is no pod's: outside, a node, a hostNetwork pod. */
  | 'outside'
  /** The other end is the pod's own node. */
  | 'ownNode'
  /** Both ends are the same pod. */
  | 'itself';

export type Side =
  | { readonly kind: 'exempt'; readonly why: Exemption }
  /** No policy isolates the pod in this direction. */
  | { readonly kind: 'open'; readonly pod: PodKey }
  /** Address of this node whose pod is not known yet. */
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'allowed';
      readonly pod: PodKey;
      readonly isolating: readonly PolicyKey[];
      /** Never empty. */
      readonly by: readonly Decision[];
    }
  | {
      readonly kind: 'denied';
      readonly pod: PodKey;
      readonly isolating: readonly PolicyKey[];
      /** Rules that fit by half, for whoever wonders why. */
      readonly near: readonly NearMiss[];
    };

/** Both ends must allow. */
export type Verdict = { readonly allowed: boolean; readonly egress: Side; readonly ingress: Side };
