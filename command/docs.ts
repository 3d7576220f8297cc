/** The table of verbs as a page. Pure but for loading them. */
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
  const sections = all.flatMap(({ name, summary, usage, json }) => [
    `## ${name}`,
    '',
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    '',
    ...fence(usage.replaceAll('{weft}', 'weft')),
    ...(json === undefined ? [] : ['With `-o json`:', '', ...fence(json, 'ts')]),
  ]);
  return [
    '# The weft command',
    '<!-- Made by `npm run docs` from command/. Do not edit. -->',
    '',
    'One program, three places:',
    '',
    '- on a node, as root: it asks the agent there by its socket /run/weft/status.sock, and no API server is needed;',
    '- in an agent’s pod: `kubectl -n weft exec ds/weft -- weft status`;',
    '- on a workstation, as `weft` or, under the name `kubectl-weft` on the PATH, as `kubectl weft`. It finds the agents’ pods with your kubeconfig and asks them by exec: your user needs `list` on pods, and `get` and `create` on pods/exec, in the namespace `weft`, and nothing more. No agent listens for it. `npm run image` leaves the program as one file in dist/kubectl-weft; it needs Node 22 or later.',
    '',
    '| exit code | meaning |',
    '| --- | --- |',
    ...Object.entries(EXIT).map(([name, code]) => `| ${code} | ${EXITS[name as keyof typeof EXIT]} |`),
    '',
    'Text is for people and may change. The shapes of `-o json` are kept: fields are added, never taken away or given another meaning; fields with `?` may be absent. Colours appear on a terminal only, and not with NO_COLOR.',
    '',
    ...sections,
  ].join('\n');
}
