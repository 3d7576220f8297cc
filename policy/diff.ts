/**
 * From one rule set to the next, by the least that the kernel must be told. Never a moment with
 * fewer rules than both demand: chains are born complete, elements go before pods move and come
 * after. Pure.
 */
import { compareIps, familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import type { Bound } from './classes.ts';
import { boxSets, setNames, setsAt, setsOf } from './elements.ts';
import { FAMILIES, mapName, rulesOf, selfElement, selfName, tableOf } from './table.ts';
import type {
  Chain,
  ChainId,
  Direction,
  ElementText,
  FixedSet,
  Group,
  Operation,
  RuleSet,
  Table,
  Target,
} from './types.ts';

type Sets = ReadonlyMap<string, ReadonlySet<ElementText>>;

/** Elements by set, gathered while chains are compared. */
type Changes = { readonly added: Map<string, ElementText[]>; readonly deleted: Map<string, ElementText[]> };

const NOTHING: ReadonlySet<ElementText> = new Set();

function push(map: Map<string, ElementText[]>, set: string, element: ElementText): void {
  const list = map.get(set);
  if (list === undefined) map.set(set, [element]);
  else list.push(element);
}

function compareSet(
  changes: Changes,
  name: string,
  old: ReadonlySet<ElementText>,
  now: ReadonlySet<ElementText>,
): void {
  for (const element of old) if (!now.has(element)) push(changes.deleted, name, element);
  for (const element of now) if (!old.has(element)) push(changes.added, name, element);
}

function compareSets(changes: Changes, old: Sets, now: Sets): void {
  for (const [name, set] of now) compareSet(changes, name, old.get(name) ?? NOTHING, set);
  for (const [name, set] of old) if (!now.has(name)) compareSet(changes, name, set, NOTHING);
}

/** Addresses whose pods differ; asked once for each pair of groups, whatever number of chains has it. */
type Touched = (old: Group, now: Group) => readonly Ip[];

function newTouched(): Touched {
  const known = new Map<Group, readonly Ip[]>();
  return (old, now) => {
    const before = known.get(now);
    if (before !== undefined) return before;
    const ips = [
      ...[...now.members].filter(([ip, pods]) => old.members.get(ip) !== pods).map(([ip]) => ip),
      ...[...old.members.keys()].filter(ip => !now.members.has(ip)),
    ];
    known.set(now, ips);
    return ips;
  };
}

/** The same policies with the same parts: only members of groups, or boxes, can differ. */
const sameParts = (old: Chain, now: Chain): boolean =>
  old.entries.length === now.entries.length &&
  now.entries.every((entry, n) => {
    const before = old.entries[n];
    if (entry.kind === 'port') return entry === before;
    return before?.kind === 'pods' && before.group.key === entry.group.key && before.ports === entry.ports;
  });

function touchedIps(old: Chain, now: Chain, touched: Touched): ReadonlySet<Ip> {
  const ips = new Set<Ip>();
  now.entries.forEach((entry, n) => {
    const before = old.entries[n];
    if (entry.kind !== 'pods' || before?.kind !== 'pods' || before.group === entry.group) return;
    for (const ip of touched(before.group, entry.group)) ips.add(ip);
  });
  return ips;
}

function compareChain(changes: Changes, old: Chain, now: Chain, touched: Touched): void {
  if (!sameParts(old, now)) {
    compareSets(changes, setsOf(old), setsOf(now));
    return;
  }
  for (const ip of touchedIps(old, now, touched)) compareSets(changes, setsAt(old, ip), setsAt(now, ip));
  if (old.boxes !== now.boxes) compareSets(changes, boxSets(old), boxSets(now));
}

function compareOwn(changes: Changes, old: ReadonlySet<Ip>, now: ReadonlySet<Ip>): void {
  for (const ip of old) if (!now.has(ip)) push(changes.deleted, selfName(familyOf(ip)), selfElement(ip));
  for (const ip of now) if (!old.has(ip)) push(changes.added, selfName(familyOf(ip)), selfElement(ip));
}

type Targets = ReadonlyMap<Ip, Target>;

/** Only what has changed is sorted: a node has hundreds of pods, and each of them comes alone. */
function changedIps(old: Targets, now: Targets): readonly Ip[] {
  const changed = [...now.keys()].filter(ip => old.get(ip) !== now.get(ip));
  for (const ip of old.keys()) if (!now.has(ip)) changed.push(ip);
  return changed.sort(compareIps);
}

const bind = (map: FixedSet, ip: Ip, old: Targets, now: Targets): Operation => ({
  kind: 'bind',
  map,
  ip,
  from: old.get(ip),
  to: now.get(ip),
});

const binds = (map: FixedSet, old: Targets, now: Targets): readonly Operation[] =>
  changedIps(old, now).map(ip => bind(map, ip, old, now));

function bindsOf(direction: Direction, { [direction]: old }: RuleSet, { [direction]: now }: RuleSet) {
  const changed = changedIps(old, now);
  return FAMILIES.flatMap(family =>
    changed.filter(ip => familyOf(ip) === family).map(ip => bind(mapName(direction, family), ip, old, now)),
  );
}

/** What binds addresses that nothing is bound to. */
export function placing(ips: readonly Ip[], { ingress, egress }: Bound): readonly Operation[] {
  const bindTo = (direction: Direction, to: ChainId | undefined): readonly Operation[] =>
    to === undefined
      ? []
      : ips.map(ip => ({ kind: 'bind', map: mapName(direction, familyOf(ip)), ip, from: undefined, to }));
  const own = ips.map(
    (ip): Operation => ({ kind: 'addElements', set: selfName(familyOf(ip)), elements: [selfElement(ip)] }),
  );
  return [...bindTo('ingress', ingress?.id), ...bindTo('egress', egress?.id), ...own];
}

const elements = (
  kind: 'addElements' | 'deleteElements',
  changes: ReadonlyMap<string, readonly ElementText[]>,
): readonly Operation[] => [...changes].map(([set, list]) => ({ kind, set, elements: list }));

const addChains = (now: RuleSet, known: (id: ChainId) => boolean): readonly Operation[] =>
  [...now.chains.values()].filter(({ id }) => !known(id)).map(chain => ({ kind: 'addChain', chain }));

/** What turns `old` into `now`; empty when nothing does. */
export function diff(old: RuleSet, now: RuleSet): readonly Operation[] {
  const changes: Changes = { added: new Map(), deleted: new Map() };
  const touched = newTouched();
  for (const [id, chain] of now.chains) {
    const before = old.chains.get(id);
    if (before !== undefined && before !== chain) compareChain(changes, before, chain, touched);
  }
  compareOwn(changes, old.own, now.own);
  const gone = [...old.chains.values()].filter(({ id }) => !now.chains.has(id));
  return [
    ...addChains(now, id => old.chains.has(id)),
    ...elements('deleteElements', changes.deleted),
    ...bindsOf('ingress', old, now),
    ...bindsOf('egress', old, now),
    ...elements('addElements', changes.added),
    ...gone.map((chain): Operation => ({ kind: 'deleteChain', id: chain.id, sets: setNames(chain) })),
  ];
}

const startsOf = (id: ChainId): string => `${id}-`;

/** The same rules, and all of its sets there. */
const isWhole = (kernel: Table, chain: Chain): boolean =>
  JSON.stringify(kernel.chains.get(chain.id)) === JSON.stringify(rulesOf(chain)) &&
  setNames(chain).every(name => kernel.sets.has(name));

/**
 * What turns the table that the kernel has into `now`. Sets and chains that belong to no class
 * are the caller's to judge; a class's chain with other rules than ours is written anew.
 */
export function diffTable(kernel: Table, now: RuleSet): readonly Operation[] {
  const changes: Changes = { added: new Map(), deleted: new Map() };
  const wanted = tableOf(now);
  const whole = new Set([...now.chains.values()].filter(chain => isWhole(kernel, chain)).map(({ id }) => id));
  for (const [id, chain] of now.chains)
    if (whole.has(id))
      for (const [name, set] of setsOf(chain))
        compareSet(changes, name, kernel.sets.get(name) ?? NOTHING, set);
  for (const family of FAMILIES) {
    const name = selfName(family);
    compareSet(changes, name, kernel.sets.get(name) ?? NOTHING, wanted.sets.get(name) ?? NOTHING);
  }
  const gone = [...kernel.chains.keys()].filter(id => !now.chains.has(id));
  const setsWith = (id: ChainId): readonly string[] =>
    [...kernel.sets.keys()].filter(name => name.startsWith(startsOf(id)));
  return [
    ...addChains(now, id => whole.has(id)),
    ...elements('deleteElements', changes.deleted),
    ...[...wanted.maps].flatMap(([map, targets]) => binds(map, kernel.maps.get(map) ?? new Map(), targets)),
    ...elements('addElements', changes.added),
    ...gone.map((id): Operation => ({ kind: 'deleteChain', id, sets: setsWith(id) })),
  ];
}
