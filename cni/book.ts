/** Leases and pools together: what is held by whom, in memory and on tmpfs, never one without the other. */
import { containsIp, familyOf } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import type { Cooling } from './cooling.ts';
import { CniError, CODES } from './errors.ts';
import { newPool, type Pool, type PoolStats } from './ipam.ts';
import { type Lease, type LeaseStore, leaseKey, ownerName } from './lease.ts';

export type Book = {
  /** The node's podCIDRs. What is found on disk is entered; called again with the same ones it does nothing. */
  readonly setRanges: (cidrs: readonly Cidr[], now: number) => void;
  readonly get: (key: string) => Lease | undefined;
  readonly all: () => readonly Lease[];
  /** An address of each range for a new lease; all or none. Throws CniError. */
  readonly reserve: (owner: string, wanted: readonly Ip[], now: number) => readonly Ip[];
  /** What would be reserved now, where nothing special is wanted; undefined where that needs a search. */
  readonly next: () => readonly Ip[] | undefined;
  readonly unreserve: (ips: readonly Ip[], now: number) => void;
  /** A lease whose addresses are reserved, in memory only: until it is kept, a new agent does not know it. */
  readonly hold: (lease: Lease) => void;
  /** Keeps it. Throws CniError where the disk is full. */
  readonly keep: (lease: Lease) => void;
  /** Gives the addresses back and says which: not those that another lease holds. */
  readonly release: (lease: Lease, now: number) => readonly Ip[];
  /** Addresses in use of which no lease knows, with their links: not given away while they are listed. True where there are new ones. */
  readonly setOrphans: (orphans: ReadonlyMap<Ip, string>, now: number) => boolean;
  readonly stats: (now: number) => readonly PoolStats[];
  /** Names of files that are no leases, as far as they are there. */
  readonly damaged: () => readonly string[];
  /** Removes a file that is no lease, if there is one of this name. */
  readonly discard: (key: string) => void;
};

/** Nothing is remembered of addresses that were freed before. */
const FORGETFUL: Cooling = { load: () => new Map(), note: () => {} };

/** Opens what is on disk. */
export function openBook(store: LeaseStore, cooling: Cooling = FORGETFUL): Book {
  const { leases: found, damaged: unread } = store.load();
  const damaged = new Set(unread);
  const leases = new Map(found.map(lease => [leaseKey(lease), lease]));
  const orphans = new Set<Ip>();
  let pools: readonly Pool[] = [];

  const poolOf = (ip: Ip): Pool | undefined => pools.find(pool => containsIp(pool.cidr, ip));

  const unreserve = (ips: readonly Ip[], now: number): void => {
    for (const ip of ips) poolOf(ip)?.free(ip, now);
  };

  /** Somebody may still send to them. */
  const rest = (ips: readonly Ip[], now: number): void => {
    unreserve(ips, now);
    if (ips.length > 0) cooling.note(ips, now);
  };

  const setOrphans = (next: ReadonlyMap<Ip, string>, now: number): boolean => {
    const ended = [...orphans].filter(ip => !next.has(ip));
    for (const ip of ended) orphans.delete(ip);
    rest(ended, now);
    const before = orphans.size;
    for (const [ip, link] of next)
      if (poolOf(ip)?.adopt(ip, `a pod without lease on ${link}`)) orphans.add(ip);
    return orphans.size > before;
  };

  const setRanges = (cidrs: readonly Cidr[], now: number): void => {
    if (cidrs.join() === pools.map(pool => pool.cidr).join()) return;
    pools = cidrs.map(cidr => newPool(cidr));
    orphans.clear();
    for (const lease of leases.values()) for (const ip of lease.ips) poolOf(ip)?.adopt(ip, ownerName(lease));
    for (const [ip, at] of cooling.load(now)) poolOf(ip)?.cool(ip, at);
  };

  const reserve = (owner: string, wanted: readonly Ip[], now: number): readonly Ip[] => {
    const outside = wanted.find(ip => poolOf(ip) === undefined);
    if (outside !== undefined)
      throw new CniError(CODES.badConfig, `the address asked for, ${outside}, is in no podCIDR of this node`);
    const several = pools.find(pool => wanted.filter(ip => containsIp(pool.cidr, ip)).length > 1);
    if (several !== undefined)
      throw new CniError(
        CODES.badConfig,
        `more than one address of ${several.cidr} is asked for`,
        wanted.join(', '),
      );
    const taken: Ip[] = [];
    for (const pool of pools) {
      const one = wanted.find(ip => familyOf(ip) === familyOf(pool.gateway) && containsIp(pool.cidr, ip));
      const result = pool.take(owner, now, one);
      if (result.kind !== 'taken') {
        unreserve(taken, now);
        throw new CniError(result.kind === 'exhausted' ? CODES.exhausted : CODES.badConfig, result.message);
      }
      taken.push(result.ip);
    }
    return taken;
  };

  const next = (): readonly Ip[] | undefined => {
    const ips = pools.map(pool => pool.next());
    return ips.every(ip => ip !== undefined) && ips.length > 0 ? ips : undefined;
  };

  const hold = (lease: Lease): void => void leases.set(leaseKey(lease), lease);

  const keep = (lease: Lease): void => {
    try {
      store.save(lease);
    } catch (error) {
      throw new CniError(
        CODES.io,
        'cannot keep the lease',
        error instanceof Error ? error.message : String(error),
      );
    }
    hold(lease);
    damaged.delete(leaseKey(lease));
  };

  const release = (lease: Lease, now: number): readonly Ip[] => {
    const key = leaseKey(lease);
    store.remove(key);
    leases.delete(key);
    // Two leases on one address come from foreign hands; the living one must not lose it.
    const free = lease.ips.filter(ip => ![...leases.values()].some(other => other.ips.includes(ip)));
    rest(free, now);
    return free;
  };

  return {
    setRanges,
    get: key => leases.get(key),
    all: () => [...leases.values()],
    reserve,
    next,
    unreserve,
    setOrphans,
    hold,
    keep,
    release,
    stats: now => pools.map(pool => pool.stats(now)),
    damaged: () => [...damaged],
    discard: key => {
      if (damaged.delete(key)) store.remove(key);
    },
  };
}
