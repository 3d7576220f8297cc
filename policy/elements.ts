/** A chain's sets, element by element, as nft prints them. Pure. */
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { boxText } from './boxes.ts';
import { resolvePort } from './parts.ts';
import type { Chain, ChainId, ElementText, Entry, Pod, SetKind } from './types.ts';

/** `in-…-exact4`; ports are of no family. */
export const setName = (id: ChainId, kind: SetKind, family: 4 | 6): string =>
  kind === 'port' ? `${id}-port` : `${id}-${kind}${family}`;

/** Names of all sets of a chain. */
export const setNames = ({ id, sets, families }: Chain): readonly string[] =>
  sets.flatMap(kind => (kind === 'port' ? [setName(id, kind, 4)] : families.map(f => setName(id, kind, f))));

/** Calls back for each element that an address has by one of its pods. */
function elementsOf(
  entry: Entry & { kind: 'pods' },
  ip: Ip,
  pods: readonly Pod[],
  found: (kind: SetKind, text: ElementText) => void,
): void {
  if (entry.ports === undefined) found('peer', ip as string as ElementText);
  for (const port of entry.ports ?? [])
    for (const pod of pods)
      for (const one of resolvePort(port, pod.ports))
        if (one.kind === 'range')
          found('exact', `${ip} . ${one.protocol.toLowerCase()} . ${one.first}` as ElementText);
}

type Sets = ReadonlyMap<string, ReadonlySet<ElementText>>;

const emptySets = (chain: Chain): Map<string, Set<ElementText>> =>
  new Map(setNames(chain).map(name => [name, new Set()]));

function addPods(
  sets: Map<string, Set<ElementText>>,
  chain: Chain,
  entry: Entry & { kind: 'pods' },
  ip: Ip,
): void {
  const family = familyOf(ip);
  const pods = entry.group.members.get(ip);
  if (pods === undefined || !chain.families.includes(family)) return;
  elementsOf(entry, ip, pods, (kind, text) => sets.get(setName(chain.id, kind, family))?.add(text));
}

/** Elements by set that a chain has because of the pods with one address; boxes apart. */
export function setsAt(chain: Chain, ip: Ip): Sets {
  const sets = emptySets(chain);
  for (const entry of chain.entries) if (entry.kind === 'pods') addPods(sets, chain, entry, ip);
  return sets;
}

/** Elements by set of its boxes. */
export function boxSets(chain: Chain): Sets {
  const sets = emptySets(chain);
  for (const box of chain.boxes)
    sets.get(setName(chain.id, 'box', box.family))?.add(boxText(box) as ElementText);
  return sets;
}

/** All sets of a chain with all elements. */
export function setsOf(chain: Chain): Sets {
  const sets = new Map([...boxSets(chain)].map(([name, set]) => [name, new Set(set)]));
  for (const entry of chain.entries)
    if (entry.kind === 'port')
      sets
        .get(setName(chain.id, 'port', 4))
        ?.add(`${entry.protocol.toLowerCase()} . ${entry.port}` as ElementText);
    else for (const ip of entry.group.members.keys()) addPods(sets, chain, entry, ip);
  return sets;
}
