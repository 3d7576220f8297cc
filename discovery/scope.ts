/** How far an address reaches, by its range alone. Pure. */
import { cidrRange, familyOf, ipToNumber, type Range } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';

const ranges = (...cidrs: readonly string[]): readonly Range[] => cidrs.map(text => cidrRange(text as Cidr));

/** Of no use as the address of another host: this host, nobody, one link only, many, reserved. */
const USELESS = ranges(
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/127',
  'fe80::/10',
  'ff00::/8',
);

/** RFC 1918, RFC 6598 (the carrier's NAT) and RFC 4193. */
const PRIVATE = ranges('10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7');

function within(list: readonly Range[], ip: Ip): boolean {
  const family = familyOf(ip);
  const number = ipToNumber(ip);
  return list.some(range => range.family === family && number >= range.first && number <= range.last);
}

/** Another host can send to it, as far as its range says. */
export const isReachable = (ip: Ip): boolean => !within(USELESS, ip);

/** Not from a private range: the same host wherever it is reached from. */
export const isPublic = (ip: Ip): boolean => isReachable(ip) && !within(PRIVATE, ip);
