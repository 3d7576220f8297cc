/** The table of verbs as a page. Pure but for loading them. */
import { type Shape, schemaFile } from './shape.ts';
import { diagnosis, judgement, pings, report } from './shapes/answers.ts';
import { EXIT } from './types.ts';
import { verbs } from './verbs.ts';

const EXITS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done, and nothing is wrong',
  trouble:
    'done, and something is wrong: a peer that is not established, a finding, a ping without answer, an agent that could not be asked',
  usage: 'the command line is not understood',
  unreachable: 'no agent, or no API server, could be asked',
};

const fence = (text: string, language = ''): readonly string[] => [
  `\`\`\`${language}`,
  text.trimEnd(),
  '```',
  '',
];

/** docs/command.md. */
export async function commandPage(): Promise<string> {
  const all = await Promise.all(Object.values(verbs).map(load => load()));
  const sections = all.flatMap(({ name, summary, usage, shape }) => [
    `## ${name}`,
    '',
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    '',
    ...fence(usage.replaceAll('{weft}', 'weft')),
    ...(shape === undefined
      ? []
      : [`With \`-o json\` ([JSON Schema](schema/${name}.json)):`, '', ...fence(shape.text(0), 'ts')]),
  ]);
  return [
    '# The weft command',
    '<!-- Made by `npm run docs` from command/. Do not edit. -->',
    '',
    'One program, three places:',
    '',
    '- on a node, as root: it asks the agent there by its socket /run/weft/status.sock, and no API server is needed. dist/kubectl-weft is the program (copy it there as `weft`; it needs Node 22), but for `doctor --local` and `uninstall`, which only the image can;',
    '- in an agent’s pod: `kubectl -n weft exec ds/weft -- weft status`;',
    '- on a workstation, as `weft` or, under the name `kubectl-weft` on the PATH, as `kubectl weft`. It finds the agents’ pods with your kubeconfig and asks them by exec: your user needs `list` on pods, and `get` and `create` on pods/exec, in the namespace `weft`, and nothing more. No agent listens for it. `npm run image` leaves the program as one file in dist/kubectl-weft; it needs Node 22 or later.',
    '',
    '| exit code | meaning |',
    '| --- | --- |',
    ...Object.entries(EXIT).map(([name, code]) => `| ${code} | ${EXITS[name as keyof typeof EXIT]} |`),
    '',
    'Text is for people and may change. The shapes of `-o json` are kept: fields are added, never taken away or given another meaning; fields with `?` may be absent. Each verb’s is JSON Schema (2020-12) too, in [schema/](schema/status.json), and tests hold what weft prints to it. `weft get` prints what an agent answers: [/status](schema/agent-status.json), [/doctor](schema/agent-doctor.json), [/ping](schema/agent-ping.json), [/policy](schema/agent-policy.json). Colours appear on a terminal only, and not with NO_COLOR.',
    '',
    ...sections,
  ].join('\n');
}

const ANSWERS: Readonly<Record<string, readonly [string, Shape]>> = {
  'agent-status': ['what an agent answers to GET /status', report],
  'agent-doctor': ['what an agent answers to GET /doctor', diagnosis],
  'agent-ping': ['what an agent answers to GET /ping', pings],
  'agent-policy': ['what an agent answers to GET /policy', judgement],
};

/** Names beneath docs/schema/ → JSON Schema: of each verb, and of an agent's own answers. */
export async function schemaFiles(): Promise<Readonly<Record<string, string>>> {
  const all = await Promise.all(Object.values(verbs).map(load => load()));
  const ofVerbs = all.flatMap(({ name, shape }) =>
    shape === undefined ? [] : [[`${name}.json`, schemaFile(`weft ${name} -o json`, shape)] as const],
  );
  const ofAgents = Object.entries(ANSWERS).map(
    ([name, [title, shape]]) => [`${name}.json`, schemaFile(title, shape)] as const,
  );
  return Object.fromEntries([...ofVerbs, ...ofAgents]);
}
