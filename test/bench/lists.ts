/** The chains that are measured. */
import { join } from 'node:path';
import { conflist } from '../../cni/install.ts';
import type { Member } from '../lab/lab.ts';
import type { List } from './plugin.ts';

/** As runtimes have it. */
const [installed] = (
  JSON.parse(conflist()) as { readonly plugins: readonly [List['plugins'][number]['config']] }
).plugins;

export const weftList = ({ binDir }: Member): List => ({
  title: 'weft',
  cniVersion: '1.1.0',
  name: 'weft',
  plugins: [{ binary: join(binDir, 'weft-cni'), config: installed }],
});

/** Dual stack, as weft is; its files on tmpfs, as weft's are. */
const ipam = (dir: string, n: number, families = 2) => ({
  type: 'host-local',
  dataDir: join(dir, `host-local-${n}`),
  ranges: [[{ subnet: `10.${43 + n}.0.0/24` }], [{ subnet: `fd${43 + n}::/64` }]].slice(0, families),
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }].slice(0, families),
});

const bridge = (plugins: string, dir: string, n: number) => ({
  binary: join(plugins, 'bridge'),
  config: { type: 'bridge', bridge: `cni${n}`, isGateway: true, ipam: ipam(dir, n) },
});

/** `plugins`: folder of the binaries; `dir`: on tmpfs. The first is the one that bursts are held against. */
export const referenceLists = (plugins: string, dir: string): readonly [List, ...List[]] => [
  {
    title: 'bridge+host-local',
    cniVersion: '1.0.0',
    name: 'reference0',
    plugins: [bridge(plugins, dir, 0)],
  },
  {
    // With IPv6 it waits two seconds for duplicate address detection, which would be no comparison.
    title: 'ptp+host-local, IPv4 only',
    cniVersion: '1.0.0',
    name: 'reference1',
    plugins: [{ binary: join(plugins, 'ptp'), config: { type: 'ptp', ipam: ipam(dir, 1, 1) } }],
  },
  {
    // Of k3s and flannel, without flannel's own plugin, which only writes bridge's configuration.
    title: 'bridge+host-local, portmap, bandwidth',
    cniVersion: '1.0.0',
    name: 'reference2',
    plugins: [
      bridge(plugins, dir, 2),
      { binary: join(plugins, 'portmap'), config: { type: 'portmap', capabilities: { portMappings: true } } },
      {
        binary: join(plugins, 'bandwidth'),
        config: { type: 'bandwidth', capabilities: { bandwidth: true } },
      },
    ],
  },
];
