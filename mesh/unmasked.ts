/** Other nodes' addresses among the destinations that pods reach with their own address. Pure. */
import type { NodeFact } from '../discovery/types.ts';
import { compareIps, containsIp, hostOf } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import type { PeerPlan } from './types.ts';

/**
 * They cannot answer a pod's own address: the answer would take the tunnel, whose AllowedIPs refuse a node's address as
 * source. All that a node says of itself counts, whether it is dialled there or not. Sorted.
 */
export function nodesAmong(
  unmasked: readonly Cidr[],
  nodes: readonly NodeFact[],
  peers: readonly PeerPlan[],
): readonly Ip[] {
  if (unmasked.length === 0) return [];
  const said = nodes.flatMap(node => node.endpoints.map(candidate => candidate.a));
  const dialled = peers.flatMap(peer => peer.endpoints);
  const ips = new Set([...said, ...dialled].map(hostOf).filter(ip => ip !== undefined));
  return [...ips].filter(ip => unmasked.some(cidr => containsIp(cidr, ip))).sort(compareIps);
}
