/**
 * Our rules in other people's forward chains with policy drop (Docker, ufw): appended, never before what others drop.
 * They are recognised by the names of our links alone, since a save and restore by iptables loses nft's comments. Pure.
 */
import { VETH_PREFIX, WG_LINK } from '../constants.ts';
import { chainRules } from './chains.ts';
import type { BaseChain, Rule } from './types.ts';

/** Links of the bridge and the tunnel alike. */
const OWN_LINKS = WG_LINK.slice(0, 4);

/** Comment of our rules. */
const COMMENT = 'weft';

export type Way = { readonly direction: 'in' | 'out'; readonly prefix: string };

/** What pods send and what comes out of the tunnel; what goes to the tunnel; what goes to pods. */
export const WAYS: readonly Way[] = [
  { direction: 'in', prefix: OWN_LINKS },
  { direction: 'out', prefix: OWN_LINKS },
  { direction: 'out', prefix: VETH_PREFIX },
];

const key = ({ direction, prefix }: Way): string => `${direction} ${prefix}`;

const OURS =
  /^([io])ifname "([^"*]+)\*"\s*(?:xt match "comment" )?counter packets \d+ bytes \d+ accept(?: comment "[^"]*")?$/;

/** The way that a rule of ours opens; undefined for others' rules. */
function wayOf({ text }: Rule): string | undefined {
  const [, letter, prefix = ''] = OURS.exec(text) ?? [];
  const known = WAYS.some(way => way.prefix === prefix);
  return known ? key({ direction: letter === 'i' ? 'in' : 'out', prefix }) : undefined;
}

export const isOurs = (rule: Rule): boolean => wayOf(rule) !== undefined;

const place = ({ family, table, name }: BaseChain): string => `${family} ${table} ${name}`;

/** Text for nft that adds what is missing and takes away what is there twice; empty where all is in place. */
export function forwardText(chain: BaseChain, listing: string): string {
  const rules = chainRules(listing).filter(isOurs);
  const seen = new Set<string | undefined>();
  const doubles = rules.filter(rule => seen.has(wayOf(rule)) || !seen.add(wayOf(rule)));
  return [
    ...doubles.map(rule => `delete rule ${place(chain)} handle ${rule.handle}\n`),
    ...WAYS.filter(way => !seen.has(key(way))).map(
      way =>
        `add rule ${place(chain)} ${way.direction === 'in' ? 'iifname' : 'oifname'} "${way.prefix}*" counter accept comment "${COMMENT}"\n`,
    ),
  ].join('');
}

/** Text for nft that takes all rules of ours away; empty where there are none. */
export const forwardRemoval = (chain: BaseChain, listing: string): string =>
  chainRules(listing)
    .filter(isOurs)
    .map(rule => `delete rule ${place(chain)} handle ${rule.handle}\n`)
    .join('');

/** Arguments after `-A FORWARD`, `-C FORWARD` or `-D FORWARD` of iptables-legacy. */
export const legacyRule = ({ direction, prefix }: Way): readonly string[] => [
  direction === 'in' ? '-i' : '-o',
  `${prefix}+`,
  '-m',
  'comment',
  '--comment',
  COMMENT,
  '-j',
  'ACCEPT',
];
