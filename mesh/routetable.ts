/**
 * The node's routes against the plan's, for a pass: several of its steps look at the same list. What has not changed
 * since the last comparison, thousands of routes mostly, is not compared again.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { VETH_PREFIX } from '../constants.ts';
import type { Kernel, Route } from '../platform/linux/types.ts';
import { type Diff, diff } from './diff.ts';
import { meshRoutes } from './routes.ts';
import type { MeshPlan, PeerPlan } from './types.ts';

export type RouteTable = {
  /** What the plan wants against what is there. Reads the kernel's list where none is known. */
  readonly diff: (plan: MeshPlan) => Promise<Diff<Route>>;
  /** This is our routes' list now; undefined: nobody knows, as after a change. */
  readonly is: (ours: readonly Route[] | undefined) => void;
};

/** The kernel's list, and the plan's, have the same objects as long as they do not change. */
function memo<T extends string | Route>(compute: (route: Route) => T): (route: Route) => T {
  const known = new WeakMap<Route, T>();
  return route => {
    const old = known.get(route);
    if (old !== undefined) return old;
    const value = compute(route);
    known.set(route, value);
    return value;
  };
}

const routeKey = memo(route => `${route.dst} ${route.kind} ${route.metric ?? 0}`);

const sameRoute = (a: Route, b: Route): boolean => a.link === b.link && a.src === b.src && a.mtu === b.mtu;

/** The pods' own routes are the cni room's. */
const meshOwn = (route: Route): boolean => !route.link?.startsWith(VETH_PREFIX);

const normal = memo(route =>
  route.metric === undefined && route.dst.includes(':') && route.kind === 'unicast'
    ? { ...route, metric: 1024 }
    : route,
);

type Compared = {
  readonly plan: MeshPlan;
  readonly wanted: readonly Route[];
  readonly actual: readonly Route[];
  readonly diff: Diff<Route>;
};

const sameCidrs = (a: readonly string[], b: readonly string[]): boolean => a === b || a.join() === b.join();

const samePeer = (a: PeerPlan, b: PeerPlan | undefined): boolean =>
  a === b || (b !== undefined && sameCidrs(a.allowedIps, b.allowedIps) && a.limit?.mtu === b.limit?.mtu);

/** A peer that moves changes nothing of this, and of a thousand nodes one moves all the time. */
const sameWanted = (a: MeshPlan, b: MeshPlan): boolean =>
  a === b ||
  (sameCidrs(a.self.gateways, b.self.gateways) &&
    sameCidrs(a.clusterCidrs, b.clusterCidrs) &&
    a.peers.length === b.peers.length &&
    a.peers.every((peer, n) => samePeer(peer, b.peers[n])));

const sameList = (a: readonly Route[], b: readonly Route[]): boolean =>
  a.length === b.length && a.every((route, n) => route === b[n]);

export function openRouteTable(kernel: Kernel): RouteTable {
  let known: readonly Route[] | undefined;
  let last: Compared | undefined;

  const compare = async (plan: MeshPlan): Promise<Diff<Route>> => {
    known ??= await kernel.routes.ours();
    const actual = known.filter(meshOwn);
    const before = last !== undefined && sameWanted(plan, last.plan) ? last : undefined;
    if (before !== undefined && sameList(before.actual, actual)) return before.diff;
    // Each part takes milliseconds where there are a thousand nodes.
    await turn();
    const wanted = before?.wanted ?? meshRoutes(plan).map(normal);
    await turn();
    last = { plan, wanted, actual, diff: diff(wanted, actual.map(normal), routeKey, sameRoute) };
    return last.diff;
  };

  return {
    diff: compare,
    is: ours => {
      known = ours;
    },
  };
}
