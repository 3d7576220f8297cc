/** `weft doctor`: everything that weft needs, looked at on every node, and the cure for what is not so. */

import { CONFIG_FILE } from '../constants.ts';
import { ok, worstFirst } from '../doctor/grades.ts';
import type { Check, Diagnosis, Grade } from '../doctor/types.ts';
import type { Agents } from './agents.ts';
import { askAll } from './ask.ts';
import type { BareOptions } from './bare.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { type Paint, painter } from './paint.ts';
import { list, object, said, string } from './shape.ts';
import { check, unasked } from './shapes/parts.ts';
import { wrap } from './table.ts';
import { EXIT, type Io, type Verb, type Where } from './types.ts';

type Finding = Check & { readonly nodes: readonly string[] };

/** Clocks this far apart make certificates and tokens fail, soon or late. */
const SKEW_MS = 60_000;

/** By our own clock, of which nobody knows more. */
const skew = (diagnosis: Diagnosis, began: number, ended: number): number =>
  diagnosis.now < began ? diagnosis.now - began : diagnosis.now > ended ? diagnosis.now - ended : 0;

function clock(diagnosis: Diagnosis, began: number, ended: number): Check {
  const ms = skew(diagnosis, began, ended);
  if (Math.abs(ms) < SKEW_MS) return ok('clock', 'the clock is right');
  return {
    id: 'clock',
    grade: 'warning',
    what: `the clock is ${Math.round(Math.abs(ms) / 1_000)} s ${ms < 0 ? 'behind' : 'ahead of'} the one of the machine that asks; tunnels do not mind, certificates and tokens do`,
    cure: 'let it be set: timedatectl set-ntp true',
  };
}

/** The same of many nodes is one finding. Worst first. */
function grouped(all: readonly { readonly node: string; readonly check: Check }[]): readonly Finding[] {
  const by = new Map<string, Finding>();
  for (const { node, check } of all) {
    const key = JSON.stringify([check.id, check.grade, check.what, check.cure]);
    by.set(key, { ...check, nodes: [...(by.get(key)?.nodes ?? []), node] });
  }
  return worstFirst([...by.values()]);
}

const WORDS: Readonly<Record<Grade, string>> = {
  error: 'ERROR',
  warning: 'WARN ',
  info: 'info ',
  ok: 'ok   ',
};
const COLORS = { error: 'failed', warning: 'pending', info: 'connecting', ok: 'established' } as const;

const INDENT = 7;

const who = ({ nodes }: Finding, asked: number): string => {
  if (asked === 1) return '';
  if (nodes.length === asked) return `all ${asked} nodes: `;
  return `${nodes.length <= 4 ? nodes.join(', ') : `${nodes.length} nodes (${nodes.slice(0, 3).join(', ')} …)`}: `;
};

function lines(finding: Finding, asked: number, io: Io, paint: Paint): string {
  const mark = paint(WORDS[finding.grade], COLORS[finding.grade]);
  const width = io.width === undefined ? undefined : io.width - INDENT;
  const pad = ' '.repeat(INDENT);
  const cure = finding.cure === undefined ? '' : `\n${pad}${wrap(`cure: ${finding.cure}`, width, INDENT)}`;
  return `${mark}  ${wrap(who(finding, asked) + finding.what, width, INDENT)}${cure}\n`;
}

/** What was found, of how many nodes, and who could not be asked. */
type Seen = {
  readonly findings: readonly Finding[];
  readonly nodes: number;
  readonly unasked: readonly { readonly node: string; readonly error: string }[];
};

async function alone(io: Io, options: BareOptions): Promise<Seen> {
  const { node, checks } = await io.bare(options);
  return { findings: grouped(checks.map(check => ({ node, check }))), nodes: 1, unasked: [] };
}

async function readAll(agents: Agents, node: string | undefined): Promise<Seen> {
  const began = Date.now();
  const answers = await askAll(agents, '/doctor', node, 30_000);
  const unasked = answers.flatMap(a => (a.ok ? [] : [{ node: a.node, error: a.error }]));
  if (unasked.length === answers.length)
    throw new Error(`no agent answers; ${unasked[0]?.node}: ${unasked[0]?.error}`);
  const ended = Date.now();
  const all = answers.flatMap(a => {
    if (!a.ok) return [];
    const diagnosis = a.value as Diagnosis;
    return [...diagnosis.checks, clock(diagnosis, began, ended)].map(check => ({ node: a.node, check }));
  });
  return { findings: grouped(all), nodes: answers.length - unasked.length, unasked };
}

/** Another node was asked for than that of the agent that answers here. */
async function isElsewhere(agents: Agents, node: string | undefined): Promise<boolean> {
  const own = await agents.list().catch(() => []);
  return node !== undefined && own.length > 0 && own.every(ref => ref.node !== node);
}

/** On a node whose agent does not answer, what can be seen without it. */
async function asked(io: Io, where: Where, bare: BareOptions): Promise<Seen> {
  const agents = await io.agents(where);
  try {
    return await readAll(agents, where.node);
  } catch (error) {
    if (agents.kind === 'remote' || (await isElsewhere(agents, where.node))) throw error;
    return await alone(io, bare);
  } finally {
    agents.close();
  }
}

const isWrong = ({ grade }: Finding): boolean => grade === 'error' || grade === 'warning';

function say(
  { findings, nodes, unasked }: Seen,
  io: Io,
  how: { readonly json: boolean; readonly quiet: boolean },
): number {
  const shown = how.quiet ? findings.filter(isWrong) : findings;
  const paint = painter(io.color);
  if (how.json) io.out(`${JSON.stringify({ findings: shown, unasked }, undefined, 2)}\n`);
  else {
    io.out(shown.map(f => lines(f, nodes, io, paint)).join(''));
    io.out(unasked.map(u => `${paint('ERROR', 'failed')}  ${u.node} cannot be asked: ${u.error}\n`).join(''));
  }
  return unasked.length === 0 && !findings.some(isWrong) ? EXIT.ok : EXIT.trouble;
}

const shape = object({
  findings: list(object({ ...check, nodes: said(list(string), 'of whom this holds') })),
  unasked,
});

export const doctor: Verb = {
  name: 'doctor',
  summary: 'all that weft needs of each node, and the cure for what is not so',
  usage: `  {weft} doctor [--quiet] [OPTIONS]
  {weft} doctor --local [--host DIR] [--config FILE]    on a node, as root: without its agent

  -q, --quiet           only errors and warnings
      --local           look at this machine itself; so it is done, too, where root asks on a node
                        whose agent does not answer
      --host DIR        with --local: the host's file system is mounted at DIR (in a pod)
      --config FILE     with --local: the agent's settings (default ${CONFIG_FILE}, if it is there)
  -o, --output json     for programs
${WHERE_USAGE}

Looks at the kernel's features and what is lost without each, forwarding, firewalls of others, other
network plugins, UDP reachability, MTU of the paths, clocks, the container runtime's directories, pod
and cluster CIDRs, kube-proxy's mode, the agent's rights and the admission policy. It changes nothing.
Without an agent: why it cannot be asked, settings, key, tunnels' sessions, wires, routes, plugin files,
kernel, firewalls. docs/troubleshooting.md says how to run it on a node whose agent does not start.
Exit code 1: there are errors or warnings.`,
  shape,
  run: async (args, io) => {
    const { where, json, values } = parseOptions(args, {
      quiet: { type: 'boolean', short: 'q' },
      local: { type: 'boolean' },
      host: { type: 'string' },
      config: { type: 'string' },
    });
    const bare: BareOptions = {
      host: (values.host as string | undefined) ?? '/',
      config: values.config as string | undefined,
      node: where.node ?? io.env.NODE_NAME,
    };
    const seen = values.local === true ? await alone(io, bare) : await asked(io, where, bare);
    return say(seen, io, { json, quiet: values.quiet === true });
  },
};
