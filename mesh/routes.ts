/** Plan → the node's routes outside the pods' own. Pure, sorted. */
import { UNREACHABLE_METRIC, WG_LINK } from '../constants.ts';
import { cidrOrder, familyOf, textOrder } from '../ip.ts';
import type { Route } from '../platform/linux/types.ts';
import type { MeshPlan } from './types.ts';

/** Beneath every tunnel route: what no peer holds has no way out, least of all in clear. */
const unreachable = (plan: MeshPlan): Route[] =>
  plan.clusterCidrs.map(dst => ({ dst, kind: 'unreachable', metric: UNREACHABLE_METRIC }));

/** Our gateway address as source, so that the far side's AllowedIPs accept what this node sends itself. */
const tunnels = (plan: MeshPlan): Route[] =>
  plan.peers.flatMap(peer =>
    peer.allowedIps.flatMap(dst => {
      const src = plan.self.gateways.find(gateway => familyOf(gateway) === familyOf(dst));
      if (src === undefined) return [];
      const mtu = peer.limit && { mtu: peer.limit.mtu };
      return [{ dst, kind: 'unicast' as const, link: WG_LINK, src, ...mtu }];
    }),
  );

/** All routes of the mesh; a family that this node has no podCIDR of gets none. */
export const meshRoutes = (plan: MeshPlan): readonly Route[] =>
  [...unreachable(plan), ...tunnels(plan)]
    .map(route => ({ route, order: `${cidrOrder(route.dst)} ${route.kind}` }))
    .sort((a, b) => textOrder(a.order, b.order))
    .map(({ route }) => route);
