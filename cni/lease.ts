/**
 * Leases: one small file per pod interface on tmpfs, written by rename. No fsync: no pod
 * outlives a reboot, so neither need its lease.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import type { Limits } from './limits.ts';
import type { PortMapping } from './ports.ts';
import type { PodRef } from './spec.ts';

export type Lease = {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
  /** Host end of the veth. */
  readonly link: string;
  readonly hostMac: string;
  readonly podMac: string;
  readonly ips: readonly Ip[];
  readonly mtu: number;
  readonly pod: PodRef | undefined;
  /** Ports of the node that lead to it. */
  readonly ports?: readonly PortMapping[];
  readonly limits?: Limits;
};

/** Container ids and interface names have no `/` and no `:`, so a colon keeps the two apart. */
export const leaseKey = (lease: { readonly containerId: string; readonly ifname: string }): string =>
  `${lease.containerId}:${lease.ifname}`;

/** What people call the holder. */
export const ownerName = (lease: Pick<Lease, 'pod' | 'containerId'>): string =>
  lease.pod ? `${lease.pod.namespace}/${lease.pod.name}` : lease.containerId.slice(0, 12);

export type LeaseStore = {
  /** Whole leases; of damaged files their names. */
  readonly load: () => { readonly leases: readonly Lease[]; readonly damaged: readonly string[] };
  /** Throws where the tmpfs is full; nothing is kept then. */
  readonly save: (lease: Lease) => void;
  readonly remove: (key: string) => void;
};

const text = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** Of a file that is named after it; a copy by another name would come back after each DEL. */
function readLease(dir: string, file: string): Lease | undefined {
  try {
    const value = JSON.parse(readFileSync(join(dir, file), 'utf8')) as Partial<Record<keyof Lease, unknown>>;
    const names = [value.network, value.containerId, value.ifname, value.link, value.hostMac, value.podMac];
    const ips = Array.isArray(value.ips) ? value.ips.map(ip => parseIp(String(ip))) : [];
    if (!names.every(text) || ips.length === 0 || !ips.every(ip => ip.ok)) return undefined;
    return leaseKey(value as Lease) === file ? (value as Lease) : undefined;
  } catch {
    return undefined;
  }
}

export function openLeases(dir: string): LeaseStore {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const load = () => {
    const leases: Lease[] = [];
    const damaged: string[] = [];
    for (const file of readdirSync(dir)) {
      // A temporary file is an ADD that was killed before it answered.
      if (file.startsWith('.')) rmSync(join(dir, file), { recursive: true, force: true });
      else {
        const lease = readLease(dir, file);
        if (lease === undefined) damaged.push(file);
        else leases.push(lease);
      }
    }
    return { leases, damaged };
  };
  const save = (lease: Lease): void => {
    const temporary = join(dir, `.${leaseKey(lease)}`);
    try {
      // Somebody may have cleared /run/weft meanwhile.
      if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(temporary, JSON.stringify(lease), { mode: 0o600 });
      renameSync(temporary, join(dir, leaseKey(lease)));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  };
  return { load, save, remove: key => rmSync(join(dir, key), { recursive: true, force: true }) };
}
