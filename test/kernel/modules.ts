/** The modules that the guest has from the start. What else a test needs, the kernel loads by itself. */
import { join } from 'node:path';
import { run } from '../../image/run.ts';

/** For the root file system. */
export const FOR_ROOT = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p', 'overlay'] as const;

/** For weft and its tests; loaded early, since each load later is a program started over the network file system. */
export const FOR_TESTS = [
  'virtio_rng',
  'wireguard',
  'tun',
  'veth',
  'bridge',
  'ifb',
  'crc32c_intel',
  'nf_tables',
  'nft_objref',
  'nft_ct',
  'nft_nat',
  'nft_chain_nat',
  'nft_masq',
  'nft_redir',
  'nft_fib_inet',
  'nft_reject_inet',
  'nft_limit',
  'nft_log',
  'nft_numgen',
  'nft_hash',
  'nf_conntrack_netlink',
  'nf_conntrack_bridge',
  'nft_meta_bridge',
  'nft_reject_bridge',
  'sch_netem',
  'sch_ingress',
  'sch_tbf',
  'act_mirred',
  'cls_matchall',
  'af_packet',
] as const;

/** `insmod` lines of modprobe's; built-in modules have none. */
const pathsIn = (plan: string): readonly string[] =>
  [...plan.matchAll(/^insmod (\S+)/gm)].map(([, path]) => path as string);

/** Files of the modules and of all that they need, each before those that need it. `root` holds lib/modules. */
export async function filesOf(
  root: string,
  release: string,
  names: readonly string[],
): Promise<readonly string[]> {
  const argv = ['modprobe', '-d', root, '-S', release, '--show-depends', '-a', ...names] as const;
  const plan = await run(argv, { cure: 'install the Debian package kmod' });
  return [...new Set(pathsIn(plan).map(path => join(path)))];
}
