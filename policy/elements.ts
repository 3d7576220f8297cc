/** A chain's sets, element by element, as nft prints them. Pure. */
import { type Family, familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { boxText } from './boxes.ts';
import type { Chain, ChainId, ElementText, Entry, Member, Port, Protocol, SetKind, Span } from './types.ts';

/** `in-…-exact4`; ports are of no family. */
export const setName = (id: ChainId, kind: SetKind, family: Family): string =>
  kind === 'port' ? `${id}-port` : `${id}-${kind}${family}`;

/** Names of all sets of a chain. */
export const setNames = ({ id, sets, families }: Chain): readonly string[] =>
  sets.flatMap(kind => (kind === 'port' ? [setName(id, kind, 4)] : families.map(f => setName(id, kind, f))));

const NFT_NAME: Readonly<Record<Protocol, string>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

/** What one address has in a chain. */
type At = {
  readonly ip: Ip;
  peer: boolean;
  readonly exact: Set<ElementText>;
  /** Ranges of ports, as they are said. */
  readonly ranges: Map<Protocol, Span[]>;
};

function addPort(at: At, port: Port, pods: readonly Member[]): void {
  if (port.kind === 'range' && port.first < port.last) {
    const spans = at.ranges.get(port.protocol);
    if (spans === undefined) at.ranges.set(port.protocol, [port]);
    else spans.push(port);
  } else if (port.kind === 'range') {
    at.exact.add(`${at.ip} . ${NFT_NAME[port.protocol]} . ${port.first}` as ElementText);
  } else if (port.kind === 'named') {
    for (const pod of pods)
      for (const own of pod.ports)
        if (own.name === port.name && own.protocol === port.protocol)
          at.exact.add(`${at.ip} . ${NFT_NAME[own.protocol]} . ${own.port}` as ElementText);
  }
}

function addEntry(at: At, entry: Entry): void {
  if (entry.kind !== 'pods') return;
  const pods = entry.group.members.get(at.ip);
  if (pods === undefined) return;
  if (entry.ports === undefined) at.peer = true;
  else for (const port of entry.ports) addPort(at, port, pods);
}

/** Ranges that overlap or touch become one: elements of one set must not overlap. */
function joined(spans: readonly Span[]): readonly Span[] {
  const done: Span[] = [];
  for (const { first, last } of spans.toSorted((a, b) => a.first - b.first)) {
    const top = done.at(-1);
    if (top === undefined || first > top.last + 1) done.push({ first, last });
    else if (last > top.last) done[done.length - 1] = { first: top.first, last };
  }
  return done;
}

function* rangeTexts({ ip, ranges }: At): Generator<ElementText> {
  for (const [protocol, spans] of ranges)
    for (const { first, last } of joined(spans))
      yield `${ip} . ${NFT_NAME[protocol]} . ${first}-${last}` as ElementText;
}

type Sets = Map<string, Set<ElementText>>;

function put(sets: Sets, name: string, texts: Iterable<ElementText>): void {
  const set = sets.get(name) ?? new Set<ElementText>();
  for (const text of texts) set.add(text);
  if (set.size > 0) sets.set(name, set);
}

function putAt(sets: Sets, chain: Chain, ip: Ip): void {
  const family = familyOf(ip);
  if (!chain.families.includes(family)) return;
  const at: At = { ip, peer: false, exact: new Set(), ranges: new Map() };
  for (const entry of chain.entries) addEntry(at, entry);
  if (at.peer) put(sets, setName(chain.id, 'peer', family), [ip as string as ElementText]);
  if (at.exact.size > 0) put(sets, setName(chain.id, 'exact', family), at.exact);
  if (at.ranges.size > 0) put(sets, setName(chain.id, 'pod-box', family), rangeTexts(at));
}

/** Elements by set that a chain has because of the pods with one address; sets without any are left out. */
export function setsAt(chain: Chain, ip: Ip): ReadonlyMap<string, ReadonlySet<ElementText>> {
  const sets: Sets = new Map();
  putAt(sets, chain, ip);
  return sets;
}

/** Elements by set of its boxes; sets without any are left out. */
export function boxSets(chain: Chain): ReadonlyMap<string, ReadonlySet<ElementText>> {
  const sets: Sets = new Map();
  for (const box of chain.boxes)
    put(sets, setName(chain.id, 'box', box.family), [boxText(box) as ElementText]);
  return sets;
}

/** All sets of a chain with all elements, empty ones too. */
export function setsOf(chain: Chain): ReadonlyMap<string, ReadonlySet<ElementText>> {
  const sets: Sets = new Map(setNames(chain).map(name => [name, new Set()]));
  const ips = new Set<Ip>();
  for (const entry of chain.entries)
    if (entry.kind === 'pods') for (const ip of entry.group.members.keys()) ips.add(ip);
    else
      put(sets, setName(chain.id, 'port', 4), [`${NFT_NAME[entry.protocol]} . ${entry.port}` as ElementText]);
  for (const ip of ips) putAt(sets, chain, ip);
  for (const [name, texts] of boxSets(chain)) put(sets, name, texts);
  return sets;
}
