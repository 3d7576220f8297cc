/** What of the kernel the doctor looks at; changes nothing. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { NFT_TABLE } from '../constants.ts';
import type { KernelFacts } from '../doctor/types.ts';
import type { Kernel } from '../platform/linux/types.ts';

const MODULES = ['ifb', 'sch_tbf'];

const SYSCTLS = [
  'ipv4/ip_forward',
  'ipv6/conf/all/forwarding',
  'ipv6/conf/all/disable_ipv6',
  'netfilter/nf_conntrack_count',
  'netfilter/nf_conntrack_max',
];

/** What cannot be asked is undefined. */
export const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> =>
  work().catch(() => undefined);

const tableThere = async (kernel: Kernel, family: string): Promise<boolean> =>
  (await attempt(() => kernel.nft.counters(family, NFT_TABLE))) !== undefined;

async function readSysctls(kernel: Kernel): Promise<KernelFacts['sysctls']> {
  const read = async (key: string) => [key, await attempt(() => kernel.sysctls.read(key))] as const;
  return Object.fromEntries(await Promise.all(SYSCTLS.map(read)));
}

export async function readKernelFacts(
  kernel: Kernel,
): Promise<Pick<KernelFacts, 'kernelRelease' | 'tables' | 'modules' | 'sysctls'>> {
  const [mesh, spoofing, sysctls] = await Promise.all([
    tableThere(kernel, 'inet'),
    tableThere(kernel, 'bridge'),
    readSysctls(kernel),
  ]);
  return {
    kernelRelease: release(),
    tables: { mesh, spoofing },
    modules: Object.fromEntries(MODULES.map(name => [name, existsSync(`/sys/module/${name}`)])),
    sysctls,
  };
}
