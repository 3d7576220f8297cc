/** A rule set as the whole table in plain data, and the rules of its chains. Pure. */
import { compareIps, type Family, familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { setName, setsOf } from './elements.ts';
import type {
  Chain,
  ChainId,
  Direction,
  ElementText,
  FixedSet,
  RuleSet,
  SetKind,
  Table,
  Target,
} from './types.ts';

const DIRECTIONS = ['egress', 'ingress'] as const;
export const FAMILIES = [4, 6] as const;

export const mapName = (direction: Direction, family: Family): FixedSet => `${direction}${family}`;
export const selfName = (family: Family): FixedSet => `self${family}`;

/** The pair of a pod with itself. */
export const selfElement = (ip: Ip): ElementText => `${ip} . ${ip}` as ElementText;

/** Where a chain of this direction ends when nothing lets the packet pass. */
export const denyChain = (direction: Direction): string => `deny-${direction}`;

const IP = { 4: 'ip', 6: 'ip6' } as const;

function rule(chain: Chain, kind: SetKind, family: Family): string {
  const peer = `${IP[family]} ${chain.direction === 'ingress' ? 'saddr' : 'daddr'}`;
  const set = `@${setName(chain.id, kind, family)}`;
  if (kind === 'port') return `meta l4proto . th dport ${set} return`;
  return kind === 'peer' ? `${peer} ${set} return` : `${peer} . meta l4proto . th dport ${set} return`;
}

/** Rules of a chain, as nft prints them. */
export const rulesOf = (chain: Chain): readonly string[] => [
  ...chain.sets.flatMap(kind =>
    (kind === 'port' ? ([4] as const) : chain.families).map(family => rule(chain, kind, family)),
  ),
  `goto ${denyChain(chain.direction)}`,
];

/** Of one family, sorted. */
const targetsOf = (targets: ReadonlyMap<Ip, Target>, family: Family): ReadonlyMap<Ip, Target> =>
  new Map([...targets].filter(([ip]) => familyOf(ip) === family).sort(([a], [b]) => compareIps(a, b)));

const selfSet = (own: ReadonlySet<Ip>, family: Family): ReadonlySet<ElementText> =>
  new Set(
    [...own]
      .filter(ip => familyOf(ip) === family)
      .sort(compareIps)
      .map(selfElement),
  );

/** The whole table; sets' elements are in no order. */
export function tableOf(rules: RuleSet): Table {
  const chains = [...rules.chains.values()];
  return {
    chains: new Map(chains.map(chain => [chain.id, rulesOf(chain)] as [ChainId, readonly string[]])),
    sets: new Map([
      ...FAMILIES.map(f => [selfName(f) as string, selfSet(rules.own, f)] as const),
      ...chains.flatMap(chain => [...setsOf(chain)]),
    ]),
    maps: new Map(
      FAMILIES.flatMap(family =>
        DIRECTIONS.map(
          direction => [mapName(direction, family), targetsOf(rules[direction], family)] as const,
        ),
      ),
    ),
  };
}
