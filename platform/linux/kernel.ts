/** The real kernel of this network namespace. */
import { addressesOn } from './addr.ts';
import { countingExec } from './exec.ts';
import { linksOn } from './link.ts';
import { indexesOn } from './names.ts';
import { neighboursOn } from './neigh.ts';
import { nftOver } from './nft.ts';
import { routesOn } from './route.ts';
import { openRtnl, type Rtnl } from './rtnl.ts';
import { defaultSysctlBase, sysctlsAt } from './sysctl.ts';
import type { Kernel } from './types.ts';
import { watchKernel } from './watch.ts';
import { wgOver } from './wg.ts';

export type KernelOptions = {
  /** Where /proc/sys/net of this namespace can be written. */
  readonly sysctlBase?: string;
};

/** `rt`: the same socket for messages that no verb covers (pods' veths by index). */
export type LinuxKernel = Kernel & { readonly rt: Rtnl };

export function openKernel({ sysctlBase = defaultSysctlBase() }: KernelOptions = {}): LinuxKernel {
  const rt = openRtnl();
  let spawns = 0;
  let changes = 0;
  const exec = countingExec(() => {
    spawns += 1;
  });
  const changed = (): void => {
    changes += 1;
  };
  const links = linksOn(rt);
  const indexes = indexesOn(links);
  const nft = nftOver(exec, changed);
  return {
    rt,
    links,
    addresses: addressesOn(rt, indexes),
    routes: routesOn(rt, indexes),
    neighbours: neighboursOn(rt, indexes),
    sysctls: sysctlsAt(sysctlBase, changed),
    wg: wgOver(exec, changed),
    nft,
    watch: watchKernel,
    counts: () => ({ spawns, changes: changes + rt.changes() }),
    close: async () => {
      nft.close();
      rt.close();
    },
  };
}
