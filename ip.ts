/**
 * Address arithmetic on package ip-address: text once parsed is a branded, canonical string,
 * and numbers are bigints. Pure.
 */
import { Address6 } from 'ip-address';
import type { Cidr, Endpoint, Ip, Result } from './types.ts';

export type Family = 4 | 6;

/** First and last address as numbers. */
export type Range = { readonly family: Family; readonly first: bigint; readonly last: bigint };

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const fail = (error: string): Result<never> => ({ ok: false, error });

const BITS = { 4: 32, 6: 128 } as const;

/** Of text that is already an Ip or a Cidr. */
export const familyOf = (text: Ip | Cidr | Endpoint): Family =>
  text.startsWith('[') || text.indexOf(':') !== text.lastIndexOf(':') ? 6 : 4;

/** Every pass of the agent looks at the same few thousand addresses of the same nodes again. */
const REMEMBERED = 20_000;

export function remember<K, V>(compute: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return key => {
    const old = known.get(key);
    if (old !== undefined) return old;
    if (known.size >= REMEMBERED) known.clear();
    const value = compute(key);
    known.set(key, value);
    return value;
  };
}

/** Of canonical IPv6 text. */
function number6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const parts = (half: string): string[] => (half === '' ? [] : half.split(':'));
  const [front, back] = [parts(head), parts(tail ?? '')];
  const groups = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back];
  return BigInt(`0x${groups.map(group => group.padStart(4, '0')).join('')}`);
}

/** RFC 5952: small letters, and `::` for the longest run of two or more zeros, the first of equals. */
function text6(number: bigint): string {
  const hex = number.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, n) => Number.parseInt(hex.slice(4 * n, 4 * n + 4), 16));
  let [start, length] = [0, 1];
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - at > length) [start, length] = [at, end - at];
  }
  const words = groups.map(group => group.toString(16));
  if (length < 2) return words.join(':');
  return `${words.slice(0, start).join(':')}::${words.slice(start + length).join(':')}`;
}

/** Number of an address that has been parsed. */
export const ipToNumber = remember((ip: Ip): bigint =>
  familyOf(ip) === 4 ? BigInt(ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)) : number6(ip),
);

/** Canonical text of a number; RFC 5952 for IPv6. */
export const ipFromNumber = (family: Family, number: bigint): Ip =>
  (family === 4 ? [24n, 16n, 8n, 0n].map(shift => (number >> shift) & 255n).join('.') : text6(number)) as Ip;

const isV4 = (text: string): boolean =>
  /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(text) && !/(?:^|\.)0\d/.test(text);

const isV6 = (text: string): boolean =>
  text.includes(':') && /^[0-9a-fA-F:.]+$/.test(text) && Address6.isValid(text);

const GROUPS = '(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)';
const PLAIN6 = new RegExp(`^${GROUPS}?(?:::${GROUPS}?)?$`);

/** Of IPv6 text as nearly everybody writes it, without the long way over a library; undefined for any other text. */
function plain6(text: string): bigint | undefined {
  if (!PLAIN6.test(text)) return undefined;
  const groups = text.split(':').filter(group => group !== '').length;
  return (text.includes('::') ? groups <= 7 : groups === 8) ? number6(text) : undefined;
}

/** `10.42.0.1` or `fd42::1`; no prefix, no zone. An IPv4-mapped address becomes IPv4. */
export function parseIp(text: string): Result<Ip> {
  if (isV4(text)) return ok(text as Ip);
  const plain = plain6(text);
  if (plain === undefined && !isV6(text)) return fail(`${JSON.stringify(text)} is not an IP address`);
  const number = plain ?? new Address6(text).bigInt();
  return ok(number >> 32n === 0xffffn ? ipFromNumber(4, number & 0xffff_ffffn) : ipFromNumber(6, number));
}

const mask = (family: Family, length: number): bigint => (1n << BigInt(BITS[family] - length)) - 1n;

/** `10.42.0.0/24`; host bits must be zero. */
export function parseCidr(text: string): Result<Cidr> {
  const [address = '', length = '', more] = text.split('/');
  const ip = parseIp(address);
  if (!ip.ok || more !== undefined || !/^\d{1,3}$/.test(length))
    return fail(`${JSON.stringify(text)} is not a network such as 10.42.0.0/24 or fd42::/64`);
  const family = familyOf(ip.value);
  const bits = Number(length);
  if (bits > BITS[family]) return fail(`${text}: the prefix length is above ${BITS[family]}`);
  const number = ipToNumber(ip.value);
  const network = number & ~mask(family, bits);
  const canonical = `${ipFromNumber(family, network)}/${bits}`;
  if (network !== number) return fail(`${text} has host bits set; its network is ${canonical}`);
  return ok(canonical as Cidr);
}

/** `203.0.113.7:51820` or `[2001:db8::1]:51820` with a literal address. */
export const parseEndpoint = remember((text: string): Result<{ readonly ip: Ip; readonly port: number }> => {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const ip = parseIp(match?.[1] ?? match?.[2] ?? '');
  const port = Number(match?.[3]);
  const brackets = match?.[1] !== undefined;
  if (!match || !ip.ok || port < 1 || port > 65_535 || brackets !== (familyOf(ip.value) === 6))
    return fail(
      `${JSON.stringify(text)} is not an endpoint such as 203.0.113.7:51820 or [2001:db8::1]:51820`,
    );
  return ok({ ip: ip.value, port });
});

/** Its address; undefined where the text is no endpoint. */
export function hostOf(endpoint: Endpoint): Ip | undefined {
  const parsed = parseEndpoint(endpoint);
  return parsed.ok ? parsed.value.ip : undefined;
}

export const toEndpoint = (ip: Ip, port: number): Endpoint =>
  (familyOf(ip) === 4 ? `${ip}:${port}` : `[${ip}]:${port}`) as Endpoint;

/** Prefix length of a parsed CIDR. */
export const prefixLength = (cidr: Cidr): number => Number(cidr.slice(cidr.indexOf('/') + 1));

/** Address part of a parsed CIDR. */
export const networkOf = (cidr: Cidr): Ip => cidr.slice(0, cidr.indexOf('/')) as Ip;

export const cidrRange = remember((cidr: Cidr): Range => {
  const family = familyOf(cidr);
  const first = ipToNumber(networkOf(cidr));
  return { family, first, last: first + mask(family, prefixLength(cidr)) };
});

/** The address `n` steps above the network's first. Throws RangeError beyond its last. */
export function nthAddress(cidr: Cidr, n: bigint): Ip {
  const { family, first, last } = cidrRange(cidr);
  if (first + n > last) throw new RangeError(`${cidr} has no address number ${n}`);
  return ipFromNumber(family, first + n);
}

/** `10.42.0.1` → `10.42.0.1/32`. */
export const hostCidr = (ip: Ip): Cidr => `${ip}/${BITS[familyOf(ip)]}` as Cidr;

export function containsIp(cidr: Cidr, ip: Ip): boolean {
  if (familyOf(cidr) !== familyOf(ip)) return false;
  const { first, last } = cidrRange(cidr);
  const number = ipToNumber(ip);
  return number >= first && number <= last;
}

export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  if (familyOf(outer) !== familyOf(inner)) return false;
  const o = cidrRange(outer);
  const i = cidrRange(inner);
  return i.first >= o.first && i.last <= o.last;
}

export const overlaps = (a: Cidr, b: Cidr): boolean => containsCidr(a, b) || containsCidr(b, a);

const order = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** IPv4 first, then by number. */
export const compareIps = (a: Ip, b: Ip): number =>
  familyOf(a) - familyOf(b) || order(ipToNumber(a), ipToNumber(b));

/** Text whose UTF-16 order is that of networks: IPv4 first, then by network, the larger network first. */
export const cidrOrder = remember((cidr: Cidr): string => {
  const number = ipToNumber(networkOf(cidr)).toString(16).padStart(32, '0');
  return `${familyOf(cidr)}${number}${String(prefixLength(cidr)).padStart(3, '0')}`;
});

/** UTF-16 order: the same on every node, whatever its locale. */
export const textOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const compareCidrs = (a: Cidr, b: Cidr): number => textOrder(cidrOrder(a), cidrOrder(b));

/** The largest network that begins at `first` and ends at or before `last`. */
function largest(family: Family, first: bigint, last: bigint): number {
  let length = BITS[family] as number;
  while (length > 0) {
    const host = mask(family, length - 1);
    if ((first & host) !== 0n || first + host > last) break;
    length -= 1;
  }
  return length;
}

/** A range as the fewest CIDRs. */
function rangeToCidrs({ family, first, last }: Range): Cidr[] {
  const cidrs: Cidr[] = [];
  for (let at = first; at <= last; ) {
    const length = largest(family, at, last);
    cidrs.push(`${ipFromNumber(family, at)}/${length}` as Cidr);
    at += mask(family, length) + 1n;
  }
  return cidrs;
}

const later = (a: bigint, b: bigint): bigint => [a, b].sort(order)[1] as bigint;

/** The same addresses as the fewest CIDRs, sorted and without overlap. */
export function aggregate(cidrs: readonly Cidr[]): readonly Cidr[] {
  const ranges = cidrs.map(cidrRange).sort((a, b) => a.family - b.family || order(a.first, b.first));
  const merged: Range[] = [];
  for (const range of ranges) {
    const top = merged.at(-1);
    if (top !== undefined && top.family === range.family && range.first <= top.last + 1n)
      merged[merged.length - 1] = { ...top, last: later(range.last, top.last) };
    else merged.push(range);
  }
  return merged.flatMap(rangeToCidrs);
}

/** 4 or 16 bytes, network order. */
export function ipToBytes(ip: Ip): Buffer {
  if (familyOf(ip) === 4) return Buffer.from(ip.split('.').map(Number));
  return Buffer.from(
    ipToNumber(ip)
      .toString(16)
      .padStart(BITS[6] / 4, '0'),
    'hex',
  );
}

const fromHex = remember((hex: string): Ip => ipFromNumber(hex.length === 8 ? 4 : 6, BigInt(`0x${hex}`)));

/** Network of bytes and prefix length; host bits must be zero, as the kernel has them. */
export const cidrFromBytes = (bytes: Uint8Array, length: number): Cidr =>
  `${ipFromBytes(bytes)}/${length}` as Cidr;

export const ipFromBytes = (bytes: Uint8Array): Ip => fromHex(Buffer.from(bytes).toString('hex'));
