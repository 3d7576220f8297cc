/** `weft status`: the mesh in a few lines, and what is wrong with it. */

import { BUSY_MS } from '../agent/pace.ts';
import type { StatusReport } from '../agent/report.ts';
import { poolText } from '../cni/pools.ts';
import { duration } from '../mesh/reasons.ts';
import { STATES } from '../mesh/state.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { type Paint, painter } from './paint.ts';
import { type MeshReport, meshOf } from './reports.ts';
import { boolean, list, may, number, object, said, string } from './shape.ts';
import { poolFields, reportRef } from './shapes/answers.ts';
import { type Shared, type Summary, summarize } from './summary.ts';
import { wrap } from './table.ts';
import { EXIT, type Io, type Verb } from './types.ts';

const LABEL = 13;

/** Names of few, number of many. */
const who = (nodes: readonly string[]): string =>
  nodes.length <= 3 ? nodes.join(', ') : `${nodes.length} nodes`;

const sharedText = (values: readonly Shared[]): string =>
  values.length <= 1 ? (values[0]?.value ?? '-') : values.map(v => `${v.value} (${who(v.nodes)})`).join('; ');

function headline(mesh: MeshReport, s: Summary): string {
  const [first] = mesh.nodes;
  if (mesh.kind === 'local')
    return `${first?.node}: ${s.ready === 1 ? 'ready' : 'NOT READY'}; weft ${sharedText(s.versions)}`;
  const ready = s.ready === s.nodes ? 'all ready' : `${s.ready} ready`;
  return `${s.nodes} nodes, ${s.answered} agents answer, ${ready}; weft ${sharedText(s.versions)}`;
}

function peersText(s: Summary, paint: Paint): string {
  const all = STATES.filter(state => s.peers[state] > 0);
  return all.map(state => paint(`${s.peers[state]} ${state}`, state)).join(', ') || 'none';
}

/** An established peer was so at its last answer, and nobody knows more. */
function measuredText({ measured: { roundMs, oldestMs } }: Summary): string {
  const busy = Math.max(BUSY_MS, roundMs ?? 0);
  const round =
    roundMs === undefined ? '' : `silent peers every ${duration(roundMs)}, others every ${duration(busy)}; `;
  return oldestMs === undefined ? '-' : `${round}oldest answer ${duration(oldestMs)} ago`;
}

const podsText = ({ pods, fullest }: Summary): string =>
  fullest === undefined ? String(pods) : `${pods}; fullest podCIDR ${poolText(fullest)} (${fullest.node})`;

/** Of one node alone there is more to say. */
function ownLines(report: StatusReport | undefined): readonly (readonly [string, string])[] {
  if (report === undefined) return [];
  const endpoints = report.endpoints.map(e => `${e.a} (${e.t})`).join(', ');
  return [
    ['publishes', endpoints || 'no endpoint'],
    [
      'pod network',
      `${report.podCidrs.join(', ') || 'none'}; of the cluster ${report.clusterCidrs.join(', ') || 'none'}`,
    ],
  ];
}

function text(mesh: MeshReport, s: Summary, io: Io): string {
  const paint = painter(io.color);
  const facts: (readonly [string, string])[] = [
    ['peers', peersText(s, paint)],
    ['measured', measuredText(s)],
    ['encryption', sharedText(s.engines)],
    ['MTU', sharedText(s.mtus)],
    ['addresses', `in use: ${sharedText(s.addresses)}`],
    ...(mesh.kind === 'local' ? ownLines(mesh.nodes[0]?.report) : []),
    ['pods', podsText(s)],
    ['policy', sharedText(s.policies)],
    ['API server', sharedText(s.api)],
  ];
  const lines = facts.map(([label, value]) => `  ${label.padEnd(LABEL)}${value}`);
  const troubles = s.troubles.map(t => {
    const about = t.about === 'this node' ? t.node : `${t.node}, ${t.about}`;
    return `  ${wrap(`${about}: ${t.message}`, io.width === undefined ? undefined : io.width - 2, 4)}`;
  });
  const tail = s.ok ? [] : ['', paint('What is wrong', 'bold'), ...troubles];
  return `${[paint(headline(mesh, s), 'bold'), ...lines, ...tail].join('\n')}\n`;
}

const shared = list(object({ value: string, nodes: list(string) }));

const shape = object({
  summary: object({
    ok: said(boolean, 'nothing is wrong'),
    nodes: number,
    answered: said(number, 'agents that answered'),
    ready: number,
    peers: said(
      object({ established: number, pending: number, connecting: number, retrying: number, failed: number }),
      'by state, each direction of a pair by itself',
    ),
    measured: object({
      roundMs: may(said(number, 'within which every silent peer is asked once')),
      oldestMs: may(said(number, 'age of the oldest last answer of an established peer')),
    }),
    versions: said(shared, 'a value, and the nodes that have it'),
    engines: shared,
    mtus: shared,
    addresses: shared,
    policies: shared,
    api: shared,
    pods: number,
    fullest: may(said(object({ node: string, ...poolFields }), 'the podCIDR with the largest share used')),
    troubles: list(object({ node: string, about: string, message: string })),
  }),
  nodes: list(
    object({
      node: string,
      error: may(said(string, 'why its agent could not be asked')),
      report: may(said(reportRef, 'what it answers at /status')),
    }),
  ),
});

export const status: Verb = {
  name: 'status',
  summary: 'the mesh in a few lines, and what is wrong with it',
  usage: `  {weft} status [OPTIONS]

  -o, --output json     for programs
${WHERE_USAGE}

Exit code 0: every agent that was asked is ready and all its peers are established. 1: not so.`,
  shape,
  run: async (args, io) => {
    const { where, json } = parseOptions(args);
    const mesh = await meshOf(io, where);
    const summary = summarize(mesh);
    io.out(
      json ? `${JSON.stringify({ summary, nodes: mesh.nodes }, undefined, 2)}\n` : text(mesh, summary, io),
    );
    return summary.ok ? EXIT.ok : EXIT.trouble;
  },
};
