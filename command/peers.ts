/** `weft peers`: every peer of every node, one line each, and why it is not well. */

import { duration } from '../mesh/reasons.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { type Paint, painter } from './paint.ts';
import { type Edge, edgesOf } from './pairs.ts';
import { type MeshReport, meshOf } from './reports.ts';
import { list, object } from './shape.ts';
import { peerOf, unasked } from './shapes/parts.ts';
import { bytes, type Cell, millis, percent, table, wrap } from './table.ts';
import { EXIT, type Io, type Verb } from './types.ts';

const HEAD = [
  'NODE',
  'PEER',
  'STATE',
  'FOR',
  'ENDPOINT',
  'FOUND',
  'PATH',
  'HANDSHAKE',
  'ANSWERED',
  'RTT',
  'LOSS',
  'RX',
  'TX',
  'MTU',
];

const age = (ms: number | undefined): string => (ms === undefined ? '-' : duration(ms));

const row = ({ from, peer }: Edge, paint: Paint): readonly Cell[] => [
  from,
  peer.node,
  { text: peer.state, paint: text => paint(text, peer.state) },
  age(peer.stateAgeMs),
  peer.endpoint ?? '-',
  peer.endpointSource ?? '-',
  peer.path,
  age(peer.handshakeAgeMs),
  age(peer.answeredAgeMs),
  millis(peer.rttMs),
  percent(peer.loss),
  bytes(peer.rxBytes),
  bytes(peer.txBytes),
  peer.mtu === undefined ? '-' : `${peer.mtu}${peer.mtuLimit === undefined ? '' : '!'}`,
];

function text(mesh: MeshReport, edges: readonly Edge[], io: Io): string {
  const paint = painter(io.color);
  const rows = edges.map(edge => row(edge, paint));
  const heading = HEAD.map((title): Cell => ({ text: title, paint: t => paint(t, 'bold') }));
  const reasons = edges.flatMap(({ from, peer, reason }) =>
    reason === undefined ? [] : [wrap(`${from} → ${peer.node}: ${reason}`, io.width, 2)],
  );
  const unasked = mesh.nodes.flatMap(n =>
    n.error === undefined ? [] : [`${n.node} cannot be asked: ${n.error}`],
  );
  return [table([heading, ...rows]), ...[...reasons, ...unasked].map(line => `\n${line}\n`)].join('');
}

const shape = object({ peers: list(peerOf), unasked });

export const peers: Verb = {
  name: 'peers',
  summary: 'every peer: state and why, endpoint, path, round trip, loss, bytes',
  usage: `  {weft} peers [--trouble] [OPTIONS]

      --trouble         only those that are not established
  -o, --output json     for programs
${WHERE_USAGE}

STATE  established: probes inside the tunnel are answered. pending: packets arrive, answers do not.
       connecting: no answer yet. retrying: there were answers, now nothing comes. failed: so for
       five minutes (it goes on being tried), or nothing can be tried.
FOUND  how the endpoint is known: host, ext, srflx, portmap as the peer published it; forced by the
       annotation weft.network/force-endpoint; learnt from the peer's own packets.
ANSWERED  how old the last answer inside the tunnel is, and with it state, round trip and loss. A silent
       peer is asked every 5 s, of more than 75 peers each in turn: of 1,000 every 67 s.
LOSS   of the last 20 probes.
MTU    largest packet inside the tunnel to this peer; with ! the path takes less than the tunnel would.`,
  shape,
  run: async (args, io) => {
    const { where, json, values } = parseOptions(args, { trouble: { type: 'boolean' } });
    const mesh = await meshOf(io, where);
    const all = edgesOf(mesh.nodes);
    const edges = all.filter(({ peer }) => !values.trouble || peer.state !== 'established');
    const unasked = mesh.nodes.flatMap(({ node, error }) => (error === undefined ? [] : [{ node, error }]));
    if (json) {
      const shown = edges.map(({ from, peer, reason }) => ({ from, ...peer, reason }));
      io.out(`${JSON.stringify({ peers: shown, unasked }, undefined, 2)}\n`);
    } else io.out(text(mesh, edges, io));
    const well = all.every(({ peer }) => peer.state === 'established') && unasked.length === 0;
    return well ? EXIT.ok : EXIT.trouble;
  },
};
