/** Where nodes stand in the picture: each location a ring, the rings on a ring of their own. Pure. */

export type Circle = { readonly x: number; readonly y: number; readonly r: number };
export type Point = { readonly x: number; readonly y: number };

export const SIZE = 1000;
const MIDDLE = SIZE / 2;

const round = (n: number): number => Math.round(n * 10) / 10;

/** Turns each ring a little, so that tunnels between two rings do not lie on other nodes. */
const TURN = 0.45;

/** The nth of `count` points on a circle; the first is at `start`, in radians from the left. */
const onCircle = ({ x, y, r }: Circle, n: number, count: number, start = 0): Point => {
  const angle = (2 * Math.PI * n) / count + start + Math.PI;
  return { x: round(x + r * Math.cos(angle)), y: round(y + r * Math.sin(angle)) };
};

/** Rings that do not touch each other, larger ones for more nodes. */
function rings(sizes: readonly number[]): readonly Circle[] {
  const whole = MIDDLE;
  if (sizes.length === 1) return [{ x: MIDDLE, y: MIDDLE, r: whole }];
  const half = Math.sin(Math.PI / sizes.length);
  // Neighbours on the outer ring are 2·R·sin(π/n) apart, and R + r must stay inside.
  const widest = (whole * half) / (1 + half);
  const outer = { x: MIDDLE, y: MIDDLE, r: whole - widest };
  const most = Math.max(...sizes);
  return sizes.map((size, n) => ({
    ...onCircle(outer, n, sizes.length),
    r: size === 1 ? 0 : round(widest * 0.85 * Math.sqrt(size / most)),
  }));
}

/** Groups → a circle for each, and a point for each of its members. */
export function layout(groups: readonly (readonly string[])[]): {
  readonly circles: readonly Circle[];
  readonly points: ReadonlyMap<string, Point>;
} {
  const circles = rings(groups.map(g => g.length));
  const points = groups.flatMap((members, g) =>
    members.map((name, n): [string, Point] => {
      const circle = circles[g] as Circle;
      if (members.length === 1) return [name, { x: circle.x, y: circle.y }];
      return [name, onCircle(circle, n, members.length, TURN * (g + 1))];
    }),
  );
  return { circles, points: new Map(points) };
}
