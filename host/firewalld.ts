/** firewalld's chains, one a zone, in a table of its own or in those of iptables-nft: what of weft's they let through. Pure. */
import { BRIDGE, WG_LINK } from '../constants.ts';
import { familyOf } from '../ip.ts';
import type { Cidr } from '../types.ts';
import type { BaseChain, FirewalldFact, ForwardFact } from './types.ts';

/** Chains of a zone are `filter_FWD_public`, with iptables `FWD_public`. */
export const isFirewalld = ({ chain, blockedBy }: ForwardFact): boolean =>
  chain.table === 'firewalld' || /^(FORWARD_ZONES|FWD_\w+): /.test(blockedBy ?? '');

/** With the backend iptables each rule has one. */
const COUNTERS = /counter packets \d+ bytes \d+ /g;

/** Rules of the chain `name`. */
function rulesOf(table: string, name: string): readonly string[] {
  const [, after = ''] = table.split(`\tchain ${name} {\n`);
  const [body = ''] = after.split('\n\t}');
  return body.split('\n').map(line => line.trim());
}

/** `iifname "weft0" goto filter_FWD_trusted` → the match and the zone's chain. */
const ZONE = /^(iifname "[^"]+"|ip6? saddr \S+) (?:goto|jump) (\S+)$/;

/** Matches that lead to a zone of target ACCEPT. */
const accepted = (table: string): readonly string[] =>
  ['filter_FORWARD_ZONES', 'FORWARD_ZONES']
    .flatMap(name => rulesOf(table, name))
    .flatMap(rule => {
      const [, match = '', zone = ''] = ZONE.exec(rule) ?? [];
      return zone !== '' && rulesOf(table, zone).includes('accept') ? [match] : [];
    });

const concerns = (family: BaseChain['family'], cidr: Cidr): boolean =>
  family === 'inet' || (familyOf(cidr) === 6) === (family === 'ip6');

/** Strict, and by the best route alone: pods' packets come in by the bridge, and the way to each pod is its veth. */
const PATH_FILTER = /fib saddr \. (mark \. )?iif oif missing drop/;

/** `listing` of the table that has `chain`. Pods pass by their networks or by our links, whichever are whole. */
export function firewalldFact(
  chain: BaseChain,
  listing: string,
  clusterCidrs: readonly Cidr[],
  port: number,
): FirewalldFact {
  const text = listing.replace(COUNTERS, '');
  const matches = accepted(text);
  const has = (end: string): boolean => matches.some(match => match.endsWith(` ${end}`));
  const cidrs = clusterCidrs.filter(cidr => concerns(chain.family, cidr));
  return {
    chain,
    pods: [BRIDGE, WG_LINK].every(link => has(`"${link}"`)) || (cidrs.length > 0 && cidrs.every(has)),
    // nft spells iptables' ports by words of its own.
    peers: new RegExp(`udp dport ${port} (ct state \\S+ )?accept`).test(text),
    pathFilter: PATH_FILTER.test(text) && cidrs.some(cidr => familyOf(cidr) === 6),
  };
}
