/** Pods' hostPorts in the kernel: element by element with a pod, the whole table where that does not do. */
import { BRIDGE, PORTS_TABLE } from '../constants.ts';
import { forgetUdpPorts } from '../platform/linux/conntrack.ts';
import type { Flows } from '../platform/linux/ctsocket.ts';
import { isNotFound } from '../platform/linux/errors.ts';
import { ensureTable, type TableMemos } from '../platform/linux/table.ts';
import type { Kernel, Nft } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import type { Book } from './book.ts';
import { withoutElements } from './elements.ts';
import { type Keyed, newKeyed } from './keyed.ts';
import { type Lease, leaseKey } from './lease.ts';
import { fromLoopback, listedPorts, portAdds, portElements, portLines, portsTable } from './ports.ts';

export type Ports = {
  /** From now on they lead to the pod. */
  readonly publish: (lease: Lease, gateways: readonly Ip[]) => Promise<void>;
  /** They lead nowhere. What is gone already is no error. */
  readonly withdraw: (lease: Lease) => Promise<void>;
  /** What of them is not in the kernel, in words. */
  readonly faults: (lease: Lease) => Promise<readonly string[]>;
  /**
   * Table and sets as the leases want them; the number of changes. Nothing is read while nobody has a port, and unless
   * `read` only a table that nobody needs any more is taken away.
   */
  readonly ensure: (gateways: readonly Ip[], read: boolean) => Promise<number>;
};

export type PortsDeps = {
  readonly nft: Kernel['nft'];
  readonly sysctls: Kernel['sysctls'];
  readonly flows: Flows;
  readonly book: Book;
  readonly keyed: Keyed;
  readonly memos: TableMemos;
};

const has = (lease: Lease): boolean => (lease.ports ?? []).length > 0;

const localnet = (link: string): string => `ipv4/conf/${link}/route_localnet`;

/** Sets what is not so yet; a link that is gone has no such setting. */
async function routeLocalnet(sysctls: Kernel['sysctls'], link: string, wanted: '0' | '1'): Promise<number> {
  const value = await sysctls.read(localnet(link));
  if (value === undefined || value === wanted) return 0;
  await sysctls.write(localnet(link), wanted);
  return 1;
}

export function openPorts({ nft, sysctls, flows, book, keyed, memos }: PortsDeps): Ports {
  let empty = false;
  // What `ensure` reads and then writes must not change in between: a port given meanwhile would be lost with it.
  const turns = newKeyed();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => turns.run(PORTS_TABLE, work);

  const holders = (): readonly Lease[] => book.all().filter(has);

  /** Writes all of it unless it is there already, element for element. */
  async function whole(leases: readonly Lease[], gateways: readonly Ip[]): Promise<number> {
    const wanted = leases.flatMap(portLines).sort().join('\n');
    const checked: Nft = {
      ...nft,
      apply: text => nft.apply(text + portAdds(leases)),
      list: async (family, table) => {
        const listed = await nft.list(family, table);
        const right = listed !== undefined && [...listedPorts(listed)].sort().join('\n') === wanted;
        return right ? withoutElements(listed) : undefined;
      },
    };
    return Number(await ensureTable(checked, 'inet', PORTS_TABLE, portsTable(gateways), memos, true));
  }

  /** The bridge is where answers come in, the pod's link where the question goes out. The guards are there by now. */
  async function loopback(leases: readonly Lease[]): Promise<number> {
    const links = leases.filter(fromLoopback).map(lease => lease.link);
    let changes = await routeLocalnet(sysctls, BRIDGE, links.length > 0 ? '1' : '0');
    for (const link of links) changes += await routeLocalnet(sysctls, link, '1');
    return changes;
  }

  async function clear(): Promise<number> {
    await loopback([]);
    const there = (await nft.list('inet', PORTS_TABLE)) !== undefined;
    if (there) await nft.apply(`delete table inet ${PORTS_TABLE}\n`);
    empty = true;
    return Number(there);
  }

  async function lead(lease: Lease, gateways: readonly Ip[]): Promise<void> {
    empty = false;
    try {
      await nft.elements('inet', PORTS_TABLE, portElements(lease, 'add'));
    } catch {
      // The first pod with a port, or a set that somebody else has changed.
      await whole(holders(), gateways);
    }
    if (fromLoopback(lease)) await loopback([lease]);
    const udp = (lease.ports ?? []).filter(port => port.protocol === 'udp').map(port => port.hostPort);
    // Where the kernel refuses, such flows end by themselves after 30 silent seconds.
    await forgetUdpPorts(flows, udp).catch(() => {});
  }

  async function takeBack(lease: Lease): Promise<void> {
    const changes = portElements(lease, 'delete');
    try {
      await nft.elements('inet', PORTS_TABLE, changes);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      for (const change of changes)
        await nft.elements('inet', PORTS_TABLE, [change]).catch(e => {
          if (!isNotFound(e)) throw e;
        });
    }
  }

  async function putRight(gateways: readonly Ip[], read: boolean): Promise<number> {
    const leases = holders();
    if (leases.length === 0) return empty ? 0 : clear();
    if (!read) return 0;
    // A verb that is under way has them half changed.
    if (leases.some(lease => keyed.busy(leaseKey(lease)))) return 0;
    return (await whole(leases, gateways)) + (await loopback(leases));
  }

  const faults: Ports['faults'] = async lease => {
    if (!has(lease)) return [];
    const there = listedPorts((await nft.list('inet', PORTS_TABLE)) ?? '');
    return portLines(lease)
      .filter(line => !there.includes(line))
      .map(line => `its hostPort entry "${line}" in table inet ${PORTS_TABLE} is missing`);
  };

  return {
    publish: async (lease, gateways) => {
      if (has(lease)) await inTurn(() => lead(lease, gateways));
    },
    withdraw: async lease => {
      if (has(lease)) await inTurn(() => takeBack(lease));
    },
    faults,
    ensure: (gateways, read) => inTurn(() => putRight(gateways, read)),
  };
}
