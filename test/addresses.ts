import fc from 'fast-check';
import {
  cidrRange,
  containsIp,
  type Family,
  familyOf,
  ipFromNumber,
  ipToNumber,
  parseCidr,
  parseIp,
} from '../ip.ts';
import type { Cidr, Ip, Result } from '../types.ts';

export const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.error);
  return result.value;
};
export const ip = (text: string): Ip => value(parseIp(text));
export const cidr = (text: string): Cidr => value(parseCidr(text));

export const width = (family: Family): number => (family === 4 ? 32 : 128);
/** The network of `length` bits around an address. */
export function around(x: Ip, length: number): Cidr {
  const host = BigInt(width(familyOf(x)) - length);
  return cidr(`${ipFromNumber(familyOf(x), (ipToNumber(x) >> host) << host)}/${length}`);
}
export const anyFamily = fc.constantFrom<Family>(4, 6);
/** Not the IPv4-mapped block, which parseIp turns into IPv4. */
export const anyIp = anyFamily
  .chain(family => fc.bigInt(0n, (1n << BigInt(width(family))) - 1n).map(bits => ipFromNumber(family, bits)))
  .filter(x => familyOf(x) === 4 || ipToNumber(x) >> 32n !== 0xffffn);
/** Few bits differ, so that networks often touch. */
export const nearIp = anyFamily.chain(family =>
  fc.bigInt(0n, 255n).map(bits => ipFromNumber(family, bits << 8n)),
);
export const nearCidr = nearIp.chain(x =>
  fc.integer({ min: width(familyOf(x)) - 16, max: width(familyOf(x)) }).map(length => around(x, length)),
);
export const nearCidrs = fc.array(nearCidr, { maxLength: 12 });
export const inAny = (cidrs: readonly Cidr[], x: Ip): boolean => cidrs.some(c => containsIp(c, x));
export const probes = (cidrs: readonly Cidr[]): Ip[] =>
  cidrs.flatMap(c => {
    const { family, first, last } = cidrRange(c);
    return [first - 1n, first, last, last + 1n]
      .filter(bits => bits >= 0n && bits >> BigInt(width(family)) === 0n)
      .map(bits => ipFromNumber(family, bits));
  });
