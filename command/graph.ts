/** `weft graph`: the mesh as a picture: a matrix in the terminal, DOT for Graphviz, JSON. */

import { STATES } from '../mesh/state.ts';
import type { PeerState } from '../mesh/status.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { type Paint, painter } from './paint.ts';
import { edgesOf } from './pairs.ts';
import { type MeshReport, meshOf } from './reports.ts';
import { list, may, number, object, said, string } from './shape.ts';
import { state } from './shapes/parts.ts';
import { type Cell, millis, table } from './table.ts';
import { EXIT, type Verb } from './types.ts';

export type GraphEdge = {
  readonly a: string;
  readonly b: string;
  /** The worse of both directions. */
  readonly state: PeerState;
  readonly path: string;
  readonly rttMs: number | undefined;
};

/** Undirected, a < b, sorted. */
export function graphOf(mesh: MeshReport): {
  readonly nodes: readonly string[];
  readonly edges: readonly GraphEdge[];
} {
  const edges = new Map<string, GraphEdge>();
  const names = new Set(mesh.nodes.map(n => n.node));
  for (const { from, peer } of edgesOf(mesh.nodes)) {
    names.add(peer.node);
    const [a, b] = [from, peer.node].sort() as [string, string];
    const before = edges.get(`${a} ${b}`);
    const worse = STATES.indexOf(before?.state ?? 'established') > STATES.indexOf(peer.state);
    edges.set(`${a} ${b}`, {
      a,
      b,
      state: worse ? (before?.state ?? peer.state) : peer.state,
      path: peer.path,
      rttMs: before?.rttMs ?? peer.rttMs,
    });
  }
  const sorted = [...edges].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, edge]) => edge);
  return { nodes: [...names].sort(), edges: sorted };
}

const COLORS: Readonly<Record<PeerState, string>> = {
  established: '#2e7d32',
  pending: '#f9a825',
  connecting: '#0277bd',
  retrying: '#8e24aa',
  failed: '#c62828',
};

const quoted = (text: string): string => JSON.stringify(text);

/** For `neato -Tsvg` and the like. */
export function dot({ nodes, edges }: ReturnType<typeof graphOf>): string {
  const lines = edges.map(({ a, b, state, rttMs }) => {
    const label = state === 'established' ? millis(rttMs) : state;
    const style = state === 'established' ? '' : ', style=dashed';
    return `  ${quoted(a)} -- ${quoted(b)} [color="${COLORS[state]}", label=${quoted(label)}${style}];`;
  });
  const head = ['graph weft {', '  layout=neato; overlap=false; node [shape=box, style=rounded];'];
  return `${[...head, ...nodes.map(n => `  ${quoted(n)};`), ...lines, '}'].join('\n')}\n`;
}

/** Short in the matrix: round trips where all is well, words where not. */
function matrix({ nodes, edges }: ReturnType<typeof graphOf>, paint: Paint): string {
  const by = new Map(edges.flatMap(e => [[`${e.a} ${e.b}`, e] as const, [`${e.b} ${e.a}`, e] as const]));
  const cell = (a: string, b: string): Cell => {
    const edge = by.get(`${a} ${b}`);
    if (edge === undefined) return a === b ? '·' : '?';
    const text = edge.state === 'established' ? millis(edge.rttMs) : edge.state;
    return { text, paint: t => paint(t, edge.state) };
  };
  return table([['', ...nodes], ...nodes.map(a => [a, ...nodes.map(b => cell(a, b))])]);
}

/** A matrix of more is no picture any more. */
const MOST = 16;

function large({ nodes, edges }: ReturnType<typeof graphOf>, paint: Paint): string {
  const broken = edges.filter(e => e.state !== 'established');
  const head = `${nodes.length} nodes, ${edges.length} links, ${edges.length - broken.length} established; too many for a matrix: see graph --dot, or the dashboard\n`;
  return head + broken.map(e => `${e.a} -- ${e.b}: ${paint(e.state, e.state)}\n`).join('');
}

const shape = object({
  nodes: list(string),
  edges: list(
    object({
      a: string,
      b: said(string, 'a < b'),
      state: said(state, 'the worse of both directions'),
      path: string,
      rttMs: may(number),
    }),
  ),
});

export const graph: Verb = {
  name: 'graph',
  summary: 'the mesh as a matrix of round trips and states, or as DOT',
  usage: `  {weft} graph [--dot] [OPTIONS]

      --dot             for Graphviz: {weft} graph --dot | neato -Tsvg > mesh.svg
  -o, --output json     for programs
${WHERE_USAGE}`,
  shape,
  run: async (args, io) => {
    const { where, json, values } = parseOptions(args, { dot: { type: 'boolean' } });
    const mesh = await meshOf(io, where);
    const found = graphOf(mesh);
    const paint = painter(io.color);
    if (json) io.out(`${JSON.stringify(found, undefined, 2)}\n`);
    else if (values.dot) io.out(dot(found));
    else io.out(found.nodes.length > MOST ? large(found, paint) : matrix(found, paint));
    const asked = mesh.nodes.every(n => n.error === undefined);
    return asked && found.edges.every(edge => edge.state === 'established') ? EXIT.ok : EXIT.trouble;
  },
};
