/** The real kernel of this network namespace. */
import { addressesOn } from './addr.ts';
import { type Flows, openFlows } from './ctsocket.ts';
import { LinuxError } from './errors.ts';
import { countingExec } from './exec.ts';
import { type Gathering, newGathering } from './gather.ts';
import { linksOn } from './link.ts';
import { indexesOn } from './names.ts';
import { neighboursOn } from './neigh.ts';
import { nftOver } from './nft.ts';
import { newOwnPorts } from './ownports.ts';
import { routesOn } from './route.ts';
import { openGenl, openRtnl, type Rtnl } from './rtnl.ts';
import { defaultSysctlBase, sysctlsAt } from './sysctl.ts';
import { recordedSysctls } from './sysctlrecord.ts';
import type { Kernel } from './types.ts';
import { watchKernel } from './watch.ts';
import { wgOver } from './wg.ts';
import { openWgNetlink } from './wgnl.ts';

export type KernelOptions = {
  /** Where /proc/sys/net of this namespace can be written. */
  readonly sysctlBase?: string;
  /** File that keeps what settings were before they were changed here. */
  readonly sysctlRecord?: string;
  /** Path of the CNI binary: by it `watch` listens and links are removed. Without it there is no watching. */
  readonly monitor?: string;
  /** Told when the monitor ends by itself; it is started again. */
  readonly trouble?: (message: string) => void;
};

/**
 * `rt`: the same socket for messages that no verb covers (pods' veths by index). `gather`: what
 * the CNI binary is to do. `flows`: connections that the kernel remembers.
 */
export type LinuxKernel = Kernel & {
  readonly rt: Rtnl;
  readonly gather: () => Gathering;
  readonly flows: Flows;
};

export function openKernel(options: KernelOptions = {}): LinuxKernel {
  const { sysctlBase = defaultSysctlBase(), sysctlRecord, monitor, trouble = () => {} } = options;
  const rt = openRtnl();
  const genl = openGenl();
  let spawns = 0;
  let changes = 0;
  const spawned = (): void => {
    spawns += 1;
  };
  const exec = countingExec(spawned);
  const changed = (): void => {
    changes += 1;
  };
  const own = linksOn(rt);
  // The kernel works in the sender's own time, 20 ms for a link: somebody else has to be the sender.
  const removeElsewhere = async (name: string): Promise<void> => {
    changed();
    await exec([monitor ?? '', 'unlink', name]);
  };
  const links = {
    ...own,
    remove: monitor === undefined ? (name: string) => own.remove(name) : removeElsewhere,
  };
  const indexes = indexesOn(links);
  const flows = openFlows();
  const ports = newOwnPorts();
  const nft = nftOver(exec, changed, ports.next);
  return {
    rt,
    gather: newGathering,
    flows,
    links,
    addresses: addressesOn(rt, indexes),
    routes: routesOn(rt, indexes),
    neighbours: neighboursOn(rt, indexes),
    sysctls:
      sysctlRecord === undefined
        ? sysctlsAt(sysctlBase, changed)
        : recordedSysctls(sysctlsAt(sysctlBase, changed), sysctlRecord),
    wg: wgOver(exec, changed, openWgNetlink(genl)),
    nft,
    watch: (kinds, onEvent) => {
      if (monitor === undefined)
        throw new LinuxError(
          'ENOENT',
          'watch needs the CNI binary: open the kernel with its path as monitor',
        );
      return watchKernel({ program: monitor, ownPorts: ports.prefix, spawned, trouble }, kinds, onEvent);
    },
    counts: () => ({ spawns, changes: changes + rt.changes() }),
    close: async () => {
      nft.close();
      flows.close();
      rt.close();
      genl.close();
    },
  };
}
