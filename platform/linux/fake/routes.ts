/** The fake's main table: references are checked as by the kernel, and lookups go by the longest prefix. */
import { ROUTE_PROTOCOL } from '../../../constants.ts';
import { compareCidrs, containsIp, familyOf, parseCidr, prefixLength } from '../../../ip.ts';
import type { Cidr, Ip } from '../../../types.ts';
import type { DefaultRoute, Route, Routes, Way } from '../types.ts';
import { drop, holds, ipOf, linkOf, refuse, routeNews, type State, tell } from './state.ts';

/** 0, which the kernel does not print, or 1024. */
const metricOf = (route: Route): number => route.metric ?? (familyOf(route.dst) === 6 ? 1024 : 0);

/** As the kernel prints it back. */
function stored(route: Route): Route {
  const { metric: _, ...rest } = route;
  return metricOf(route) === 0 ? rest : { ...rest, metric: metricOf(route) };
}

const same = (a: Route, b: Route): boolean => a.dst === b.dst && metricOf(a) === metricOf(b);

/** Networks that addresses make reachable. */
function connected(
  state: State,
): readonly { readonly cidr: Cidr; readonly link: string; readonly src: Ip }[] {
  return [...state.addresses].flatMap(({ link, address }) => {
    const src = ipOf(address);
    const bits = familyOf(src) === 4 ? 32 : 128;
    const length = Number(address.slice(address.indexOf('/') + 1));
    const network = length === bits ? undefined : parseCidr(address);
    const cidr = network?.ok ? network.value : /its network is (\S+)$/.exec(network?.error ?? '')?.[1];
    return cidr && state.links.get(link)?.up ? [{ cidr: cidr as Cidr, link, src }] : [];
  });
}

function check(state: State, route: Route): void {
  const what = `route ${route.dst}`;
  if (route.kind === 'unreachable') return;
  const link = linkOf(state, route.link ?? '');
  if (!link.up) refuse('ENETDOWN', what);
  if (route.src !== undefined && !holds(state, route.src)) refuse('EINVAL', what);
  const { via } = route;
  const near = via === undefined || route.onlink || connected(state).some(c => containsIp(c.cidr, via));
  if (!near) refuse(familyOf(route.dst) === 4 ? 'ENETUNREACH' : 'EHOSTUNREACH', what);
}

function put(state: State, route: Route, protocol: number): void {
  check(state, route);
  drop(state.routes, owned => same(owned.route, route));
  state.routes.add({ route: stored(route), protocol });
  tell(state, protocol === ROUTE_PROTOCOL ? routeNews(route.dst) : 'route');
}

function lookup(state: State, ip: Ip): Way | undefined {
  if (holds(state, ip)) return { link: 'lo', src: ip };
  const ways = [
    ...connected(state).map(c => ({
      dst: c.cidr,
      metric: 0,
      link: c.link as string | undefined,
      src: c.src,
      mtu: undefined,
    })),
    ...[...state.routes].map(({ route }) => ({
      dst: route.dst,
      metric: metricOf(route),
      link: route.link,
      src: route.src,
      mtu: route.mtu,
    })),
  ].filter(way => containsIp(way.dst, ip));
  ways.sort((a, b) => prefixLength(b.dst) - prefixLength(a.dst) || a.metric - b.metric);
  const best = ways[0];
  return best?.link === undefined
    ? undefined
    : {
        link: best.link,
        src: best.src ?? sourceOn(state, best.link, ip),
        ...(best.mtu !== undefined && { mtu: best.mtu }),
      };
}

const sourceOn = (state: State, link: string, ip: Ip): Ip | undefined =>
  [...state.addresses]
    .filter(a => a.link === link)
    .map(a => ipOf(a.address))
    .find(own => familyOf(own) === familyOf(ip));

const sorted = <T extends { readonly route: Route }>(routes: Iterable<T>): T[] =>
  [...routes].sort((a, b) => compareCidrs(a.route.dst, b.route.dst) || metricOf(a.route) - metricOf(b.route));

const ours = (state: State): readonly Route[] =>
  sorted(state.routes).flatMap(o => (o.protocol === ROUTE_PROTOCOL ? [o.route] : []));

const defaults = (state: State): readonly DefaultRoute[] =>
  sorted(state.routes)
    .filter(({ route }) => prefixLength(route.dst) === 0 && route.kind === 'unicast')
    .map(({ route, protocol }) => ({ ...route, protocol }));

export const fakeRoutes = (state: State): Routes => ({
  read: async () => ({ ours: ours(state), defaults: defaults(state) }),
  ours: async () => ours(state),
  defaults: async () => defaults(state),
  lookup: async ip => lookup(state, ip),
  replace: async route => {
    state.changes += 1;
    put(state, route, ROUTE_PROTOCOL);
  },
  remove: async route => {
    if (route.link !== undefined) linkOf(state, route.link);
    state.changes += 1;
    const gone = drop(
      state.routes,
      o => o.protocol === ROUTE_PROTOCOL && same(o.route, route) && o.route.link === route.link,
    );
    if (!gone) refuse('ESRCH', `remove route ${route.dst}`);
    tell(state, routeNews(route.dst));
  },
});

/** A route of somebody else: of the distribution (protocol 3, boot), of a routing daemon. */
export const foreignRoute = (state: State, route: Route, protocol: number): void =>
  put(state, route, protocol);
