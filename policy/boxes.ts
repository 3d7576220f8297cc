/**
 * Ranges of addresses, protocols and ports as boxes that never overlap: the kernel's concatenated
 * interval sets take or refuse overlapping elements depending on their order. Pure.
 */
import { cidrRange, type Family, familyOf, ipFromNumber, ipToNumber } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import type { Box, Protocol, Span } from './types.ts';

export const PROTOCOL_NUMBER: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

export const ANY_PROTOCOL: Span = { first: 0, last: 255 };
export const ANY_PORT: Span = { first: 0, last: 65_535 };

/** Inclusive. */
export type Interval = { readonly first: bigint; readonly last: bigint };

const byFirst = (a: Interval, b: Interval): number => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0);

/** The same numbers as the fewest intervals, sorted. */
export function unite(intervals: readonly Interval[]): readonly Interval[] {
  const united: Interval[] = [];
  for (const next of intervals.toSorted(byFirst)) {
    const top = united.at(-1);
    if (top === undefined || next.first > top.last + 1n) united.push(next);
    else if (next.last > top.last) united[united.length - 1] = { first: top.first, last: next.last };
  }
  return united;
}

/** What of `from` is in none of `holes`; both united. */
export function subtract(from: readonly Interval[], holes: readonly Interval[]): readonly Interval[] {
  const left: Interval[] = [];
  let hole = 0;
  for (const { first, last } of from) {
    let at = first;
    while (hole < holes.length && (holes[hole] as Interval).last < first) hole += 1;
    for (let n = hole; n < holes.length && (holes[n] as Interval).first <= last; n += 1) {
      const { first: begin, last: end } = holes[n] as Interval;
      if (begin > at) left.push({ first: at, last: begin - 1n });
      if (end >= at) at = end + 1n;
    }
    if (at <= last) left.push({ first: at, last });
  }
  return left;
}

/** Addresses of a network without its exceptions. */
export function networkWithout(cidr: Cidr, excepts: readonly Cidr[]): readonly Interval[] {
  const same = excepts.filter(except => familyOf(except) === familyOf(cidr)).map(cidrRange);
  return subtract([cidrRange(cidr)], unite(same));
}

type Rectangle = { readonly x: Interval; readonly y: Interval };

/** Cuts along x wherever something begins or ends, unites along y, and joins neighbours that are alike. */
function slabs(rectangles: readonly Rectangle[]): readonly Rectangle[] {
  const byStart = rectangles.toSorted((a, b) => byFirst(a.x, b.x));
  const cuts = [...new Set(rectangles.flatMap(({ x }) => [x.first, x.last + 1n]))].sort((a, b) =>
    a < b ? -1 : a > b ? 1 : 0,
  );
  const done: { x: Interval; readonly ys: readonly Interval[]; readonly key: string }[] = [];
  let active: readonly Rectangle[] = [];
  let next = 0;
  cuts.slice(0, -1).forEach((first, n) => {
    const last = (cuts[n + 1] as bigint) - 1n;
    const begun: Rectangle[] = [];
    for (; next < byStart.length && (byStart[next] as Rectangle).x.first <= first; next += 1)
      begun.push(byStart[next] as Rectangle);
    active = [...active.filter(({ x }) => x.last >= first), ...begun];
    if (active.length === 0) return;
    const ys = unite(active.map(({ y }) => y));
    const key = ys.map(y => `${y.first}-${y.last}`).join();
    const top = done.at(-1);
    if (top !== undefined && top.key === key && top.x.last + 1n === first)
      top.x = { first: top.x.first, last };
    else done.push({ x: { first, last }, ys, key });
  });
  return done.flatMap(({ x, ys }) => ys.map(y => ({ x, y })));
}

const turned = ({ x, y }: Rectangle): Rectangle => ({ x: y, y: x });

/** Disjoint rectangles of the same area; of the two ways to cut, the one with fewer pieces. */
function disjointRectangles(rectangles: readonly Rectangle[]): readonly Rectangle[] {
  if (rectangles.length < 2) return rectangles;
  const byX = slabs(rectangles);
  const byY = slabs(rectangles.map(turned));
  return byX.length < byY.length ? byX : byY.map(turned);
}

const spanOf = ({ first, last }: Interval): Span => ({ first: Number(first), last: Number(last) });
const intervalOf = ({ first, last }: Span): Interval => ({ first: BigInt(first), last: BigInt(last) });
const isAll = (box: Box): boolean => box.protocols.last > box.protocols.first;

/** Boxes of one protocol, without the addresses of which everything is in already. */
function ofProtocol(boxes: readonly Box[], covered: readonly Interval[]): readonly Box[] {
  const rectangles = boxes.flatMap(box =>
    subtract([{ first: box.first, last: box.last }], covered).map(x => ({ x, y: intervalOf(box.ports) })),
  );
  return disjointRectangles(rectangles).map(({ x, y }) => ({
    ...(boxes[0] as Box),
    first: x.first,
    last: x.last,
    ports: spanOf(y),
  }));
}

function ofFamily(boxes: readonly Box[]): readonly Box[] {
  const all = boxes.filter(isAll);
  const covered = unite(all);
  const rest = Map.groupBy(
    boxes.filter(box => !isAll(box)),
    box => box.protocols.first,
  );
  return [
    ...covered.map(({ first, last }) => ({ ...(all[0] as Box), first, last })),
    ...[...rest.values()].flatMap(group => ofProtocol(group, covered)),
  ];
}

const compareBoxes = (a: Box, b: Box): number =>
  a.family - b.family ||
  a.protocols.first - b.protocols.first ||
  byFirst(a, b) ||
  a.ports.first - b.ports.first;

/**
 * Covers the same packets without overlap, sorted. Boxes are either of one protocol or of all
 * protocols and all ports. The order of the input does not matter.
 */
export function disjoint(boxes: readonly Box[]): readonly Box[] {
  const families = Map.groupBy(boxes, box => box.family);
  return [...families.values()].flatMap(ofFamily).sort(compareBoxes);
}

/** Boxes of single addresses and of networks with the same ports. */
export const boxesOf = (
  family: Family,
  addresses: readonly Interval[],
  protocols: Span,
  ports: Span,
): readonly Box[] => addresses.map(({ first, last }) => ({ family, first, last, protocols, ports }));

export const pointOf = (ip: Ip): Interval => {
  const number = ipToNumber(ip);
  return { first: number, last: number };
};

/** Prefix length of an interval that is a network, else undefined. */
function prefixOf(family: Family, { first, last }: Interval): number | undefined {
  const size = last - first + 1n;
  const host = size.toString(2).length - 1;
  if (1n << BigInt(host) !== size || first % size !== 0n) return undefined;
  return (family === 4 ? 32 : 128) - host;
}

function addressesText(box: Box): string {
  const first = ipFromNumber(box.family, box.first);
  if (box.first === box.last) return first;
  const prefix = prefixOf(box.family, box);
  return prefix === undefined ? `${first}-${ipFromNumber(box.family, box.last)}` : `${first}/${prefix}`;
}

const spanText = ({ first, last }: Span): string => (first === last ? `${first}` : `${first}-${last}`);

const NAME = new Map(Object.entries(PROTOCOL_NUMBER).map(([name, number]) => [number, name.toLowerCase()]));

/** As nft prints it: `10.0.0.0/8 . tcp . 80-90`. */
export const boxText = (box: Box): string =>
  `${addressesText(box)} . ${isAll(box) ? spanText(box.protocols) : NAME.get(box.protocols.first)} . ${spanText(box.ports)}`;
