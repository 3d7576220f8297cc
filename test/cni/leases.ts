/** Leases for tests. */
import type { Lease } from '../../cni/lease.ts';
import type { Ip } from '../../types.ts';

/** The n-th pod, 1 to 250, dual stack. */
export const lease = (n: number): Lease => ({
  network: 'weft',
  containerId: `c${n}`,
  ifname: 'eth0',
  link: `wv${n.toString(16).padStart(11, '0')}`,
  hostMac: `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`,
  podMac: `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`,
  ips: [`10.42.1.${n}`, `fd42::${n.toString(16)}`] as Ip[],
  mtu: 1420,
  pod: { namespace: 'default', name: `pod${n}`, uid: `uid-${n}` },
});
