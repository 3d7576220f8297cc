/**
 * Addresses of one podCIDR: who holds which, which cool down, which is next. No clock and no
 * I/O; every operation takes constant time, whatever the size of the range.
 *
 * The order is a ring that begins behind the addresses in use, then those freed longest ago: a
 * freed address rests as long as possible, since others may still send to its last holder.
 */
import { cidrRange, containsIp, familyOf, ipFromNumber, ipToNumber, nthAddress } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';

/** How long a freed address counts as cooling; it is used earlier only when nothing else is free. */
export const COOL_MS = 60_000;

export type Taken =
  | { readonly kind: 'taken'; readonly ip: Ip }
  | { readonly kind: 'exhausted'; readonly message: string }
  | { readonly kind: 'refused'; readonly message: string };

export type PoolStats = {
  readonly cidr: Cidr;
  readonly family: 4 | 6;
  /** Addresses that pods can have at all: the sum of the other three. */
  readonly size: bigint;
  readonly used: number;
  /** Freed a moment ago; used only when nothing else is free. */
  readonly cooling: number;
  readonly free: bigint;
};

export type Pool = {
  readonly cidr: Cidr;
  readonly gateway: Ip;
  /** The next address, or the one asked for. `owner` is a name for people. */
  readonly take: (owner: string, now: number, wanted?: Ip) => Taken;
  /** What `take` would give, as long as nothing changes; undefined where it would have to search. */
  readonly next: () => Ip | undefined;
  /** A lease found on disk. False where the address is another's or no address of this range. */
  readonly adopt: (ip: Ip, owner: string) => boolean;
  readonly free: (ip: Ip, now: number) => void;
  /** Found on disk: freed then, and nobody's now. In the order of freeing. */
  readonly cool: (ip: Ip, freedAt: number) => void;
  readonly owner: (ip: Ip) => string | undefined;
  readonly stats: (now: number) => PoolStats;
};

/** First and last address for pods: without network, gateway and, in IPv4, broadcast. */
export function usable(cidr: Cidr): { readonly first: bigint; readonly last: bigint; readonly size: bigint } {
  const range = cidrRange(cidr);
  const first = range.first + 2n;
  const last = familyOf(cidr) === 4 ? range.last - 1n : range.last;
  return { first, last, size: last >= first ? last - first + 1n : 0n };
}

/** Freed addresses that are remembered; in a /64 they would become ever more. */
const REMEMBERED = 65_536;

/** An empty pool. A CIDR too small for gateway and one pod is always exhausted. */
export function newPool(cidr: Cidr, remembered = REMEMBERED): Pool {
  const family = familyOf(cidr);
  const { first, last, size } = usable(cidr);
  const gateway = nthAddress(cidr, size > 0n ? 1n : 0n);
  const held = new Map<bigint, string>();
  // Insertion order is the order of freeing, so the first entry has rested longest.
  const freed = new Map<bigint, number>();
  let cursor = 0n;
  let visited = 0n;
  let forgotten = 0;

  const inRange = (number: bigint): boolean => number >= first && number <= last;
  const text = (number: bigint): Ip => ipFromNumber(family, number);

  const neverUsed = (): bigint | undefined => {
    for (; visited < size; visited += 1n) {
      const number = first + ((cursor + visited) % size);
      if (!held.has(number) && !freed.has(number)) return number;
    }
    return undefined;
  };

  /** Those freed so long ago that they were forgotten: once round the ring finds them again. */
  const longForgotten = (): bigint | undefined => {
    if (forgotten === 0) return undefined;
    forgotten = 0;
    visited = 0n;
    return neverUsed();
  };

  const stats = (now: number): PoolStats => {
    const cooling = [...freed.values()].filter(at => now - at < COOL_MS).length;
    return { cidr, family, size, used: held.size, cooling, free: size - BigInt(held.size + cooling) };
  };

  const exhausted = (now: number): Taken => {
    const { used, cooling } = stats(now);
    const some = [...held.values()].slice(0, 5).join(', ');
    return {
      kind: 'exhausted',
      message: `no address is free in podCIDR ${cidr}: ${size} for pods, ${used} held (${some}${used > 5 ? ', …' : ''}), ${cooling} cooling down; run fewer pods on this node (kubelet maxPods) or give the cluster a larger node CIDR mask`,
    };
  };

  const refuse = (wanted: Ip): string | undefined => {
    if (!containsIp(cidr, wanted)) return `${wanted} is outside this node's podCIDR ${cidr}`;
    const number = ipToNumber(wanted);
    if (!inRange(number))
      return `${wanted} is the gateway, the network's or the broadcast address of ${cidr}`;
    const owner = held.get(number);
    return owner === undefined ? undefined : `${wanted} is held by ${owner}`;
  };

  const give = (number: bigint, owner: string): Taken => {
    freed.delete(number);
    held.set(number, owner);
    return { kind: 'taken', ip: text(number) };
  };

  const take = (owner: string, now: number, wanted?: Ip): Taken => {
    if (wanted !== undefined) {
      const message = refuse(wanted);
      return message === undefined ? give(ipToNumber(wanted), owner) : { kind: 'refused', message };
    }
    const next = neverUsed() ?? longForgotten() ?? freed.keys().next().value;
    return next === undefined ? exhausted(now) : give(next, owner);
  };

  const next = (): Ip | undefined => {
    const number = neverUsed() ?? (forgotten === 0 ? freed.keys().next().value : undefined);
    return number === undefined ? undefined : text(number);
  };

  const adopt = (ip: Ip, owner: string): boolean => {
    if (refuse(ip) !== undefined) return false;
    const number = ipToNumber(ip);
    held.set(number, owner);
    const behind = number - first + 1n;
    if (visited === 0n && behind > cursor) cursor = behind;
    return true;
  };

  const rest = (number: bigint, since: number): void => {
    freed.set(number, since);
    if (freed.size <= remembered) return;
    freed.delete(freed.keys().next().value as bigint);
    forgotten += 1;
  };

  const free = (ip: Ip, now: number): void => {
    const number = ipToNumber(ip);
    if (held.delete(number)) rest(number, now);
  };

  const cool = (ip: Ip, freedAt: number): void => {
    if (refuse(ip) === undefined) rest(ipToNumber(ip), freedAt);
  };

  return { cidr, gateway, take, next, adopt, free, cool, owner: ip => held.get(ipToNumber(ip)), stats };
}
