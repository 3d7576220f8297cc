/** `weft ping`: round trips between nodes over the data path, at once. */

import { type PingAnswer, parsePing } from '../agent/ping.ts';
import type { Agents } from './agents.ts';
import { askAll } from './ask.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { painter } from './paint.ts';
import { list, may, number, object, said, string } from './shape.ts';
import { unasked } from './shapes/parts.ts';
import { type Cell, millis, table } from './table.ts';
import { EXIT, type Io, UsageError, type Verb } from './types.ts';

type Line = {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly bytes: number;
  readonly sent: number;
  readonly received: number;
  readonly minMs: number | undefined;
  readonly avgMs: number | undefined;
  readonly maxMs: number | undefined;
};

const lineOf = (from: string, { to, address, bytes, sent, rttMs }: PingAnswer): Line => ({
  from,
  to,
  address,
  bytes,
  sent,
  received: rttMs.length,
  minMs: rttMs.length === 0 ? undefined : Math.min(...rttMs),
  avgMs: rttMs.length === 0 ? undefined : rttMs.reduce((a, b) => a + b, 0) / rttMs.length,
  maxMs: rttMs.length === 0 ? undefined : Math.max(...rttMs),
});

function text(lines: readonly Line[], io: Io): string {
  const paint = painter(io.color);
  const rows = lines.map((line): readonly Cell[] => {
    const state = line.received === line.sent ? 'established' : line.received === 0 ? 'failed' : 'pending';
    const answered = { text: `${line.received}/${line.sent}`, paint: (t: string) => paint(t, state) };
    const rtt = [line.minMs, line.avgMs, line.maxMs].map(millis);
    return [line.from, line.to, line.address, String(line.bytes), answered, ...rtt];
  });
  const head = ['FROM', 'TO', 'ADDRESS', 'BYTES', 'ANSWERED', 'MIN', 'AVG', 'MAX'];
  return table([head.map((t): Cell => ({ text: t, paint: s => paint(s, 'bold') })), ...rows]);
}

/** Lost ones take two seconds each, of many peers in turn. */
const PATIENCE_MS = 120_000;

/** Throws UsageError where an agent would refuse it. */
function pathOf(to: string | undefined, size: string, count: string): string {
  const query = new URLSearchParams({ size, count, ...(to === undefined ? {} : { node: to }) });
  const question = parsePing(query);
  if (!question.ok) throw new UsageError(question.error);
  return `/ping?${query.toString()}`;
}

type Ends = { readonly from: string | undefined; readonly to: string | undefined };

/** On a node, one name is that of the other end. */
async function endsOf(agents: Agents, node: string | undefined, names: readonly string[]): Promise<Ends> {
  const [first = node, to] = names;
  const other = agents.kind === 'local' && to === undefined && first !== (await agents.list())[0]?.node;
  return other ? { from: undefined, to: first } : { from: first, to };
}

const shape = object({
  pings: list(
    object({
      from: string,
      to: string,
      address: string,
      bytes: said(number, 'of the IP packet inside the tunnel, both ways'),
      sent: number,
      received: number,
      minMs: may(number),
      avgMs: may(number),
      maxMs: may(number),
    }),
  ),
  unasked,
});

export const ping: Verb = {
  name: 'ping',
  summary: 'round trips between nodes inside the tunnels, small or as large as the MTU',
  usage: `  {weft} ping [FROM] [TO] [--full | --size BYTES] [--count N] [OPTIONS]

  FROM, TO              nodes; without them all pairs, with one all of its peers (on a node:
                        with one, from here to it)
      --full            packets of the tunnel's whole MTU: do large packets pass?
      --size BYTES      of the IP packet inside the tunnel (default 64)
  -c, --count N         to each address (default 3)
  -o, --output json     for programs
${WHERE_USAGE}

Agents answer, inside the tunnels, at both address families. Exit code 1: an answer is missing.`,
  shape,
  run: async (args, io) => {
    const { where, json, values, positionals } = parseOptions(args, {
      full: { type: 'boolean' },
      size: { type: 'string' },
      count: { type: 'string', short: 'c' },
    });
    if (positionals.length > 2) throw new UsageError('say at most two nodes');
    const size = values.full === true ? 'full' : String(values.size ?? 64);
    const count = String(values.count ?? 3);
    pathOf(undefined, size, count);
    const agents = await io.agents(where);
    try {
      const { from, to } = await endsOf(agents, where.node, positionals);
      const answers = await askAll(agents, pathOf(to, size, count), from, PATIENCE_MS);
      const lines = answers.flatMap(a => (a.ok ? (a.value as PingAnswer[]).map(p => lineOf(a.node, p)) : []));
      const unasked = answers.flatMap(a => (a.ok ? [] : [{ node: a.node, error: a.error }]));
      if (to !== undefined && lines.length === 0 && unasked.length === 0)
        throw new UsageError(`${to} is no peer of ${from ?? 'this node'}: see ${io.name} peers`);
      if (json) io.out(`${JSON.stringify({ pings: lines, unasked }, undefined, 2)}\n`);
      else
        io.out([text(lines, io), ...unasked.map(u => `\n${u.node} cannot be asked: ${u.error}\n`)].join(''));
      return unasked.length === 0 && lines.every(l => l.received === l.sent) ? EXIT.ok : EXIT.trouble;
    } finally {
      agents.close();
    }
  },
};
