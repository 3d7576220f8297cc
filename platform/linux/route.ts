/** Routes by rtnetlink: RTM_*ROUTE with `struct rtmsg` and RTA_* attributes (linux/rtnetlink.h). Main table. */
import { ROUTE_PROTOCOL } from '../../constants.ts';
import { familyOf, ipFromBytes, ipToBytes, networkOf, prefixLength } from '../../ip.ts';
import type { Cidr, Ip } from '../../types.ts';
import { type Attrs, attr, nest, parseAttrs, readU32, u32 } from './attrs.ts';
import { isNoRoute } from './errors.ts';
import { AF, type Indexes } from './names.ts';
import { FLAG, RTM, type Rtnl } from './rtnl.ts';
import { flatMapInSlices } from './slices.ts';
import type { Route, Routes } from './types.ts';

const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, prefsrc: 7, metrics: 8, table: 15 } as const;
const RTAX_MTU = 2;
const TABLE_MAIN = 254;
const SCOPE = { universe: 0, link: 253 } as const;
const TYPE = { unicast: 1, unreachable: 7 } as const;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;

type Head = {
  readonly prefix: number;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
};

const NONE: Head = { prefix: 0, table: 0, protocol: 0, scope: 0, type: 0, flags: 0 };

/** struct rtmsg. */
function head(family: number, h: Head): Buffer {
  const bytes = Buffer.from([family, h.prefix, 0, 0, h.table, h.protocol, h.scope, h.type, 0, 0, 0, 0]);
  bytes.writeUInt32LE(h.flags, 8);
  return bytes;
}

const headOf = (route: Route): Head => ({
  prefix: prefixLength(route.dst),
  table: TABLE_MAIN,
  protocol: ROUTE_PROTOCOL,
  scope:
    route.kind === 'unreachable' || route.via !== undefined || familyOf(route.dst) === 6
      ? SCOPE.universe
      : SCOPE.link,
  type: TYPE[route.kind],
  flags: route.onlink ? RTNH_F_ONLINK : 0,
});

/** `index` of the route's link, where it has one. */
export const encodeRoute = (route: Route, index: number | undefined): Buffer[] => [
  head(AF[familyOf(route.dst)], headOf(route)),
  attr(RTA.dst, ipToBytes(networkOf(route.dst))),
  ...(index === undefined ? [] : [u32(RTA.oif, index)]),
  ...(route.via === undefined ? [] : [attr(RTA.gateway, ipToBytes(route.via))]),
  ...(route.src === undefined ? [] : [attr(RTA.prefsrc, ipToBytes(route.src))]),
  ...(route.metric === undefined ? [] : [u32(RTA.priority, route.metric)]),
  ...(route.mtu === undefined ? [] : [nest(RTA.metrics, u32(RTAX_MTU, route.mtu))]),
];

export const replaceRoute = (rt: Rtnl, route: Route, index: number | undefined): Promise<void> =>
  rt.change(`route ${route.dst}`, RTM.newRoute, FLAG.create | FLAG.replace, encodeRoute(route, index));

/** Rejects with EEXIST where there is one with the same dst and metric. */
export const addRoute = (rt: Rtnl, route: Route, index: number | undefined): Promise<void> =>
  rt.change(`route ${route.dst}`, RTM.newRoute, FLAG.create | FLAG.excl, encodeRoute(route, index));

type Parsed = { readonly route: Route; readonly protocol: number };

const mtuOf = (attrs: Attrs): number | undefined =>
  readU32(parseAttrs(attrs.get(RTA.metrics) ?? Buffer.alloc(0)).get(RTAX_MTU));

/** One RTM_NEWROUTE; undefined for kinds that are nothing to us (local, multicast, cloned). */
export function parseRoute(message: Buffer, names: ReadonlyMap<number, string>): Parsed | undefined {
  const type = message.readUInt8(7);
  const flags = message.readUInt32LE(8);
  if ((type !== TYPE.unicast && type !== TYPE.unreachable) || flags & RTM_F_CLONED) return undefined;
  const attrs = parseAttrs(message.subarray(12));
  const v4 = message.readUInt8(0) === AF[4];
  const ip = (bytes: Buffer | undefined): Ip | undefined => (bytes ? ipFromBytes(bytes) : undefined);
  const link = names.get(readU32(attrs.get(RTA.oif)) ?? 0);
  const via = ip(attrs.get(RTA.gateway));
  const src = ip(attrs.get(RTA.prefsrc));
  const mtu = mtuOf(attrs);
  const metric = readU32(attrs.get(RTA.priority));
  const kind = type === TYPE.unicast ? ('unicast' as const) : ('unreachable' as const);
  const route: Route = {
    dst: `${ip(attrs.get(RTA.dst)) ?? (v4 ? '0.0.0.0' : '::')}/${message.readUInt8(1)}` as Cidr,
    kind,
    // IPv6 hangs unreachable routes on lo; nobody asked for that link.
    ...(link !== undefined && kind === 'unicast' && { link }),
    ...(via !== undefined && { via }),
    ...((flags & RTNH_F_ONLINK) !== 0 && { onlink: true }),
    ...(src !== undefined && { src }),
    ...(mtu !== undefined && { mtu }),
    ...(metric !== undefined && { metric }),
  };
  return { route, protocol: message.readUInt8(5) };
}

type Cached = {
  readonly parsed: Parsed | undefined;
  readonly index: number;
  readonly name: string | undefined;
};

/** Parsers that know what the last list had: of thousands of routes few change, and the same message is the same object. */
function openParser() {
  let known: ReadonlyMap<string, Cached> = new Map();
  return async (
    messages: readonly Buffer[],
    names: ReadonlyMap<number, string>,
  ): Promise<readonly Parsed[]> => {
    const seen = new Map<string, Cached>();
    const one = (message: Buffer): Parsed | [] => {
      const text = message.toString('latin1');
      const before = known.get(text);
      if (before !== undefined && names.get(before.index) === before.name) {
        seen.set(text, before);
        return before.parsed ?? [];
      }
      const index = readU32(parseAttrs(message.subarray(12)).get(RTA.oif)) ?? 0;
      const parsed = parseRoute(message, names);
      seen.set(text, { parsed, index, name: names.get(index) });
      return parsed ?? [];
    };
    const all = await flatMapInSlices(messages, one);
    known = seen;
    return all;
  };
}

/** What is in the head alone: the rest of a foreign table need not be parsed. */
const matters = (message: Buffer): boolean =>
  message[4] === TABLE_MAIN && (message[5] === ROUTE_PROTOCOL || message[1] === 0);

/** Routes of the socket's namespace. */
export function routesOn(rt: Rtnl, indexes: Indexes): Routes {
  const parse = openParser();
  const read: Routes['read'] = async () => {
    const messages = await rt.dump('list routes', RTM.getRoute, [head(0, NONE)]);
    const main = await parse(messages.filter(matters), await indexes.names());
    return {
      ours: main.filter(p => p.protocol === ROUTE_PROTOCOL).map(p => p.route),
      defaults: main
        .filter(p => prefixLength(p.route.dst) === 0 && p.route.kind === 'unicast')
        .map(p => ({ ...p.route, protocol: p.protocol })),
    };
  };
  const indexOf = async (route: Route) => (route.link === undefined ? undefined : indexes.of(route.link));
  return {
    read,
    ours: async () => (await read()).ours,
    defaults: async () => (await read()).defaults,
    lookup: async ip => {
      const to = { ...NONE, prefix: familyOf(ip) === 4 ? 32 : 128 };
      try {
        const message = await rt.get(`look up ${ip}`, RTM.getRoute, [
          head(AF[familyOf(ip)], to),
          attr(RTA.dst, ipToBytes(ip)),
        ]);
        const attrs = parseAttrs(message?.subarray(12) ?? Buffer.alloc(0));
        const link = await indexes.name(readU32(attrs.get(RTA.oif)) ?? 0);
        const src = attrs.get(RTA.prefsrc);
        const mtu = mtuOf(attrs);
        return link === undefined
          ? undefined
          : { link, src: src && ipFromBytes(src), ...(mtu !== undefined && { mtu }) };
      } catch (error) {
        if (isNoRoute(error)) return undefined;
        throw error;
      }
    },
    replace: async route => replaceRoute(rt, route, await indexOf(route)),
    remove: async route =>
      rt.change(`remove route ${route.dst}`, RTM.delRoute, 0, encodeRoute(route, await indexOf(route))),
  };
}
