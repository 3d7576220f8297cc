/**
 * What the policies of one class of pods let pass, in the parts that the kernel's sets are made
 * of. Follows from the policies and the class's own ports, never from other pods. Pure.
 */
import { createHash } from 'node:crypto';
import type { Family } from '../ip.ts';
import type { Cidr } from '../types.ts';
import { ANY_PORT, ANY_PROTOCOL, PROTOCOL_NUMBER } from './boxes.ts';
import type { Block } from './nodes.ts';
import type {
  ChainId,
  ContainerPort,
  Direction,
  Peer,
  Policy,
  PolicyKey,
  Port,
  Protocol,
  Rule,
  Selector,
  SetKind,
  Span,
} from './types.ts';

/** Which pods a group has. Equal keys, equal members. */
export type GroupSpec =
  | {
      readonly kind: 'pods';
      readonly key: string;
      /** Own namespace of the policy, or else `namespaces`. */
      readonly namespace: string | undefined;
      readonly namespaces: Selector | undefined;
      readonly pods: Selector;
    }
  /** Pods with an address in the network, for named ports behind an ipBlock. */
  | (Block & { readonly kind: 'block' })
  /** Nodes with an address in the network, by their gateway addresses. */
  | (Block & { readonly kind: 'nodes' });

/** Protocols and ports of boxes. */
export type Spans = { readonly protocols: Span; readonly ports: Span };

export type Part =
  | { readonly kind: 'port'; readonly protocol: Protocol; readonly port: number }
  | { readonly kind: 'pods'; readonly group: GroupSpec; readonly ports: readonly Port[] | undefined }
  | {
      readonly kind: 'block';
      readonly cidr: Cidr;
      readonly excepts: readonly Cidr[];
      readonly spans: readonly Spans[];
    };

/** Pods of this node that the same policies isolate in one direction, and whose named ports are the same. */
export type Class = {
  readonly id: ChainId;
  readonly direction: Direction;
  readonly families: readonly Family[];
  readonly policies: readonly PolicyKey[];
  readonly sets: readonly SetKind[];
  readonly parts: readonly Part[];
};

const podsSpec = (
  namespace: string | undefined,
  namespaces: Selector | undefined,
  pods: Selector,
): GroupSpec => ({
  kind: 'pods',
  key: `${namespace === undefined ? `all ${namespaces?.text}` : `own ${namespace}`} ${pods.text}`,
  namespace,
  namespaces,
  pods,
});

const blockSpec = (kind: 'block' | 'nodes', cidr: Cidr, excepts: readonly Cidr[]): GroupSpec => ({
  kind,
  key: `${kind} ${cidr} ${excepts.toSorted().join()}`,
  cidr,
  excepts,
});

const ALL: Spans = { protocols: ANY_PROTOCOL, ports: ANY_PORT };

const spansOf = (port: Port): readonly Spans[] => {
  if (port.kind !== 'range') return [];
  const number = PROTOCOL_NUMBER[port.protocol];
  return [{ protocols: { first: number, last: number }, ports: { first: port.first, last: port.last } }];
};

/** One port: an element of a hash set rather than a box. */
const isSingle = (port: Port): boolean => port.kind === 'range' && port.first === port.last;
const isNamed = (port: Port): boolean => port.kind === 'named';

/** Nothing where there are ports and none can be met. */
const withPorts = (group: GroupSpec, ports: readonly Port[] | undefined): readonly Part[] =>
  ports === undefined || ports.some(({ kind }) => kind !== 'broken') ? [{ kind: 'pods', group, ports }] : [];

const some = <T>(list: readonly T[], make: (list: readonly T[]) => Part): readonly Part[] =>
  list.length > 0 ? [make(list)] : [];

/** Everything is in it, gateway addresses too. */
const isWhole = (cidr: Cidr, excepts: readonly Cidr[]): boolean =>
  cidr.endsWith('/0') && excepts.length === 0;

function fromBlock(
  cidr: Cidr,
  excepts: readonly Cidr[],
  ports: readonly Port[] | undefined,
): readonly Part[] {
  const numbers = ports?.filter(({ kind }) => kind === 'range');
  const spans = ports === undefined ? [ALL] : ports.flatMap(spansOf);
  const nodes = isWhole(cidr, excepts) || numbers?.length === 0;
  return [
    ...some(spans, list => ({ kind: 'block', cidr, excepts, spans: list })),
    ...(nodes ? [] : withPorts(blockSpec('nodes', cidr, excepts), numbers)),
    ...some((ports ?? []).filter(isNamed), list => ({
      kind: 'pods',
      group: blockSpec('block', cidr, excepts),
      ports: list,
    })),
  ];
}

const ZERO = { 4: '0.0.0.0/0' as Cidr, 6: '::/0' as Cidr } as const;

/** `ports` are there: anybody with any port is no rule set but an open door. */
function fromAnybody(ports: readonly Port[], families: readonly Family[]): readonly Part[] {
  const ranges = ports.filter(port => !isSingle(port)).flatMap(spansOf);
  return [
    ...ports.flatMap(port =>
      port.kind === 'range' && isSingle(port)
        ? [{ kind: 'port', protocol: port.protocol, port: port.first } as const]
        : [],
    ),
    ...families.flatMap(family => [
      ...some(ranges, spans => ({ kind: 'block', cidr: ZERO[family], excepts: [], spans })),
      // Of whichever namespace, also one that is not known yet.
      ...some(ports.filter(isNamed), list => ({
        kind: 'pods',
        group: blockSpec('block', ZERO[family], []),
        ports: list,
      })),
    ]),
  ];
}

function fromPeer(peer: Peer, namespace: string, ports: readonly Port[] | undefined): readonly Part[] {
  switch (peer.kind) {
    case 'broken':
      return [];
    case 'block':
      return fromBlock(peer.cidr, peer.excepts, ports);
    case 'pods':
      return withPorts(
        podsSpec(peer.namespaces === undefined ? namespace : undefined, peer.namespaces, peer.pods),
        ports,
      );
  }
}

/** Ports of a pod that a port of a rule means, by number. */
export const resolvePort = (port: Port, own: readonly ContainerPort[]): readonly Port[] =>
  port.kind === 'named'
    ? own
        .filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
        .map(({ protocol, port: number }) => ({ kind: 'range', protocol, first: number, last: number }))
    : [port];

const isOpen = (rule: Rule): boolean => rule.peers === undefined && rule.ports === undefined;

type Draft = {
  readonly direction: Direction;
  readonly families: readonly Family[];
  /** Those that isolate in this direction, sorted by key. */
  readonly policies: readonly Policy[];
  /** Of the class's pods; ingress rules' port names are looked up here. */
  readonly ports: readonly ContainerPort[];
};

function partsOfRule(draft: Draft, namespace: string, rule: Rule): readonly Part[] {
  const ports =
    draft.direction === 'ingress' ? rule.ports?.flatMap(port => resolvePort(port, draft.ports)) : rule.ports;
  if (rule.peers === undefined) return fromAnybody(ports ?? [], draft.families);
  return rule.peers.flatMap(peer => fromPeer(peer, namespace, ports));
}

/** What tells two parts apart. */
const partText = (part: Part): string =>
  JSON.stringify(part, (key, value: unknown) => {
    if (key !== 'group') return value;
    return (value as GroupSpec).key;
  });

function kindsOf(part: Part): readonly SetKind[] {
  if (part.kind !== 'pods') return [part.kind === 'port' ? 'port' : 'box'];
  if (part.ports === undefined) return ['peer'];
  return part.ports.flatMap((port): readonly SetKind[] => {
    if (port.kind === 'broken') return [];
    return [isSingle(port) || isNamed(port) ? 'exact' : 'pod-box'];
  });
}

const ORDER: readonly SetKind[] = ['port', 'peer', 'exact', 'pod-box', 'box'];

/** Port names that ingress rules of these policies ask of a pod, each with its answer. */
function namesText({ direction, policies, ports }: Draft): string {
  if (direction === 'egress') return '';
  const named = policies
    .flatMap(policy => policy.ingress ?? [])
    .flatMap(rule => rule.ports ?? [])
    .filter(isNamed);
  const answers = named.map(port => JSON.stringify([port, resolvePort(port, ports)]));
  return [...new Set(answers)].sort().join();
}

/** The same for the same class: pods, or moments, whose classes have equal keys share one. */
export const classKey = (draft: Draft): string =>
  JSON.stringify([
    draft.direction,
    draft.families,
    draft.policies.map(policy => policy.key),
    namesText(draft),
  ]);

/** Undefined: a rule lets everybody in, so that the pods need no chain. `key` is the draft's `classKey`. */
export function classOf(draft: Draft, key: string): Class | undefined {
  const rules = draft.policies.flatMap(policy =>
    (policy[draft.direction] ?? []).map(rule => ({ namespace: policy.namespace, rule })),
  );
  if (rules.some(({ rule }) => isOpen(rule))) return undefined;
  const parts = new Map(
    rules
      .flatMap(({ namespace, rule }) => partsOfRule(draft, namespace, rule))
      .map(part => [partText(part), part]),
  );
  const list = [...parts.values()];
  const kinds = new Set(list.flatMap(kindsOf));
  const sets = ORDER.filter(kind => kinds.has(kind));
  const hash = createHash('sha256').update(`${key} ${sets.join()}`).digest('hex').slice(0, 16);
  return {
    id: `${draft.direction === 'ingress' ? 'in' : 'eg'}-${hash}` as ChainId,
    direction: draft.direction,
    families: draft.families,
    policies: draft.policies.map(policy => policy.key),
    sets,
    parts: list,
  };
}
