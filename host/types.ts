/** What is known of the machine outside of weft, and what a person should know of it. Data only. */
import type { Cidr } from '../types.ts';

/** error: pods are cut off by it; warning: some traffic is, or may be; info: seen and dealt with, or good to know. */
export type Severity = 'error' | 'warning' | 'info';

/** One thing about this host that a person should know. */
export type Finding = {
  /** Stable: kind and thing, such as `forward ip filter FORWARD`. */
  readonly id: string;
  readonly severity: Severity;
  /** What is so, and what follows from it. */
  readonly what: string;
  /** What to do; undefined where nothing is needed. */
  readonly cure: string | undefined;
};

/** A base chain of others in the hook `forward` or `input`. */
export type BaseChain = {
  readonly family: 'ip' | 'ip6' | 'inet';
  readonly table: string;
  readonly name: string;
  readonly hook: 'forward' | 'input';
  readonly policy: 'accept' | 'drop';
};

/** One rule of a chain, as `nft -a list chain` prints it, without counters. */
export type Rule = { readonly text: string; readonly handle: number };

/** A forward chain and what was seen in it. `kind` legacy: of iptables-legacy, which nft does not show. */
export type ForwardFact = {
  readonly kind: 'nft' | 'legacy';
  readonly chain: BaseChain;
  /** Our rules stand in it. */
  readonly ours: boolean;
  /** A rule before ours that drops everything, in the firewall's words. */
  readonly blockedBy: string | undefined;
  /** Why our rules could not be put there. */
  readonly error: string | undefined;
};

/** Who else holds our UDP port, in words, as in `the process dnsmasq (pid 812)`. */
export type PortFact = { readonly port: number; readonly holder: string };

/** What firewalld lets through in the table of one of its forward chains. */
export type FirewalldFact = {
  readonly chain: BaseChain;
  /** What pods send to each other and to the outside. */
  readonly pods: boolean;
  /** What peers send to our UDP port. */
  readonly peers: boolean;
  /** IPv6 of pods is dropped by its filter of reverse paths. */
  readonly pathFilter: boolean;
};

export type HostFacts = {
  readonly forward: readonly ForwardFact[];
  /** Input chains with policy drop. */
  readonly input: readonly BaseChain[];
  /** One for each forward chain of firewalld. */
  readonly firewalld: readonly FirewalldFact[];
  /** Names of all chains that nft shows. */
  readonly chains: readonly string[];
  /** Names of all links. */
  readonly links: readonly string[];
  readonly port: PortFact | undefined;
  readonly listenPort: number;
  readonly clusterCidrs: readonly Cidr[];
};
