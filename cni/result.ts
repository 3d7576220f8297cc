/** A lease as the result of ADD, in the version asked for. Pure. */
import { familyOf, hostCidr } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import type { Lease } from './lease.ts';
import type { CniVersion, Request } from './spec.ts';
import { dnsOf, type Json } from './wishes.ts';

const atLeast = (version: CniVersion, since: '1.0.0' | '1.1.0'): boolean => version >= since;

const interfaces = (lease: Lease, netns: string, version: CniVersion): readonly Json[] => {
  const mtu = atLeast(version, '1.1.0') ? { mtu: lease.mtu } : {};
  return [
    { name: lease.link, mac: lease.hostMac, ...mtu },
    { name: lease.ifname, mac: lease.podMac, ...mtu, sandbox: netns },
  ];
};

const gatewayFor = (of: Ip | Cidr, gateways: readonly Ip[]): Ip | undefined =>
  gateways.find(gateway => familyOf(gateway) === familyOf(of));

const ips = (lease: Lease, gateways: readonly Ip[], index: number, version: CniVersion): readonly Json[] =>
  lease.ips.map(ip => ({
    ...(!atLeast(version, '1.0.0') && { version: String(familyOf(ip)) }),
    address: hostCidr(ip),
    gateway: gatewayFor(ip, gateways),
    interface: index,
  }));

const routes = (defaults: readonly Cidr[], gateways: readonly Ip[]): readonly Json[] =>
  defaults.map(dst => ({ dst, gw: gatewayFor(dst, gateways) }));

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Behind another plugin, its result comes first and ours is added. `defaults`: routes that the pod has got. */
export function addResult(
  lease: Lease,
  gateways: readonly Ip[],
  { netns, version, prevResult, dns }: Pick<Request, 'netns' | 'version' | 'prevResult' | 'dns'>,
  defaults: readonly Cidr[],
): Json {
  const before = prevResult?.raw ?? {};
  const earlier = list(before.interfaces);
  return {
    cniVersion: version,
    interfaces: [...earlier, ...interfaces(lease, netns, version)],
    ips: [...list(before.ips), ...ips(lease, gateways, earlier.length + 1, version)],
    routes: [...list(before.routes), ...routes(defaults, gateways)],
    // As the reference plugins do: what the configuration says goes before what another plugin said.
    dns: { ...dnsOf(before.dns), ...dns },
  };
}
