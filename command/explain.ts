/** `weft explain`: the way of a packet between two pods, step by step, and what policies say of it. */
import type { Judgement } from '../agent/policy.ts';
import { familyOf } from '../ip.ts';
import type { Packet } from '../policy/types.ts';
import type { Agents } from './agents.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { painter } from './paint.ts';
import { type MeshReport, readMesh } from './reports.ts';
import { type End, endsOf, routeOf, type Step } from './route.ts';
import { wrap } from './table.ts';
import { parseTarget, type Target } from './target.ts';
import { EXIT, type Io, UsageError, type Verb } from './types.ts';

type Explanation = {
  readonly from: End;
  readonly to: End;
  readonly protocol: Packet['protocol'];
  readonly port: number | undefined;
  readonly verdict: 'arrives' | 'lost' | 'denied' | 'unknown';
  readonly steps: readonly Step[];
  readonly policy: Judgement;
};

const textOf = ({ who }: Target): string => (who.kind === 'ip' ? who.ip : `${who.namespace}/${who.name}`);

function endOf(mesh: MeshReport, target: Target, family: 4 | 6 | undefined): End {
  const ends = endsOf(mesh, target);
  const [end] = family === undefined ? ends : ends.filter(e => familyOf(e.ip) === family);
  if (end !== undefined) return end;
  const why =
    ends.length > 0
      ? `has no IPv${family} address, and the other end no other one`
      : `is known to no agent that was asked${mesh.kind === 'local' ? ' (only this node’s was)' : ''}: is it running, in this namespace, and without hostNetwork? Its address works here too`;
  throw new Error(`${textOf(target)} ${why}`);
}

const question = ({ src, dst, protocol, port }: Packet): string =>
  `/policy?${new URLSearchParams({ src, dst, protocol, port: String(port) }).toString()}`;

/** Agents know all pods and policies: that of the far end, which has the last word, or else the near one's. */
async function policyOf(
  agents: Agents,
  nodes: readonly (string | undefined)[],
  packet: Packet,
): Promise<Judgement> {
  const words: string[] = [];
  const known = new Set((await agents.list()).map(ref => ref.node));
  for (const node of new Set(nodes)) {
    if (node === undefined || !known.has(node)) continue;
    try {
      return (await agents.get(node, question(packet))) as Judgement;
    } catch (error) {
      words.push(`${node} cannot be asked: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { allowed: undefined, words: words.length > 0 ? words : ['no agent of the two nodes can be asked'] };
}

function verdictOf(steps: readonly Step[], allowed: boolean | undefined): Explanation['verdict'] {
  if (steps.some(step => step.result === 'lost')) return 'lost';
  if (allowed === false) return 'denied';
  return allowed === undefined || steps.some(step => step.result === 'unknown') ? 'unknown' : 'arrives';
}

async function explainAll(
  agents: Agents,
  node: string | undefined,
  source: Target,
  target: Target,
): Promise<Explanation> {
  const mesh = await readMesh(agents, node);
  const families = endsOf(mesh, target).map(end => familyOf(end.ip));
  const own = endsOf(mesh, source).map(end => familyOf(end.ip));
  const family = own.find(f => families.includes(f)) ?? families[0];
  const [from, to] = [endOf(mesh, source, family), endOf(mesh, target, family)];
  const protocol = target.port === undefined ? 'ICMP' : target.protocol;
  const packet: Packet = { src: from.ip, dst: to.ip, protocol, port: target.port ?? 0 };
  const steps = routeOf(mesh, from, to);
  const policy = await policyOf(agents, [to.node, from.node], packet);
  return { from, to, protocol, port: target.port, verdict: verdictOf(steps, policy.allowed), steps, policy };
}

const endText = ({ ip, pod, node }: End): string =>
  `${pod === undefined ? ip : `${pod} (${ip})`}${node === undefined ? '' : ` on ${node}`}`;

const VERDICTS = {
  arrives: ['it arrives', 'established'],
  lost: ['it does NOT arrive', 'failed'],
  denied: ['a policy denies it', 'failed'],
  unknown: ['not all could be looked at', 'pending'],
} as const;

function text(e: Explanation, io: Io): string {
  const paint = painter(io.color);
  const [verdict, color] = VERDICTS[e.verdict];
  const port = e.port === undefined ? 'ping' : `${e.protocol} ${e.port}`;
  const width = io.width === undefined ? undefined : io.width - 2;
  const steps = e.steps.map(step => {
    const mark = {
      ok: paint('ok  ', 'established'),
      lost: paint('LOST', 'failed'),
      unknown: paint('?   ', 'pending'),
    }[step.result];
    return `  ${mark}  ${wrap(`${step.node}: ${step.what}`, width, 8)}`;
  });
  const words = e.policy.words.map(line => `  ${wrap(line, width, 4)}`);
  return `${[`${endText(e.from)} → ${endText(e.to)}, ${port}: ${paint(verdict, color)}`, '', 'way', ...steps, '', 'policy', ...words].join('\n')}\n`;
}

export const explain: Verb = {
  name: 'explain',
  summary: 'the way of a packet between two pods, and what policies say of it',
  usage: `  {weft} explain FROM TO[:PORT[/PROTOCOL]] [OPTIONS]

  FROM, TO              POD, NAMESPACE/POD, or an address
  PORT, PROTOCOL        as in web-0:80, dns:53/udp, [fd42::7]:443 (default tcp; without a port: ping)
  -o, --output json     for programs
${WHERE_USAGE}

What policies say is what the agents know of them. On a node only that node's pods are known by name,
and others by their address. Nothing is sent.
Exit code 1: it does not arrive, or not all could be looked at.`,
  json: `{
  "from": End, "to": End,           // End: { "ip": string, "pod"?: string, "node"?: string, "link"?: string }
  "protocol": "TCP" | "UDP" | "SCTP" | "ICMP", "port"?: number,
  "verdict": "arrives" | "lost" | "denied" | "unknown",
  "steps": [ { "node": string, "result": "ok" | "lost" | "unknown", "what": string } ],
  "policy": { "allowed"?: boolean, "words": string[] }
}`,
  run: async (args, io) => {
    const { where, json, positionals } = parseOptions(args);
    const [source, target, ...rest] = positionals;
    if (source === undefined || target === undefined || rest.length > 0)
      throw new UsageError('say two pods, as in: explain web-0 db-0:5432');
    const [from, to] = [parseTarget(source), parseTarget(target)];
    const agents = await io.agents(where);
    try {
      const found = await explainAll(agents, where.node, from, to);
      io.out(json ? `${JSON.stringify(found, undefined, 2)}\n` : text(found, io));
      return found.verdict === 'arrives' ? EXIT.ok : EXIT.trouble;
    } finally {
      agents.close();
    }
  },
};
