/** `weft help`: made from the table of verbs. */
import { VERSION } from '../version.ts';
import type { Verb } from './types.ts';
import { verbs } from './verbs.ts';

const AGENT = 'run the agent of this node (what the DaemonSet does; see weft agent --help)';

const EXIT_CODES = `Exit codes: 0 all is well, 1 something is wrong, 2 the command line is not understood,
3 no agent or API server could be asked.`;

const line = (name: string, summary: string): string => `  ${name.padEnd(12)}  ${summary}`;

const loadAll = (): Promise<readonly Verb[]> => Promise.all(Object.values(verbs).map(load => load()));

/** All verbs, a line each. */
export async function overview(name: string): Promise<string> {
  const all = await loadAll();
  return [
    `weft ${VERSION}: an encrypted mesh for Kubernetes nodes that share no network`,
    '',
    `  ${name} VERB [OPTIONS]`,
    '',
    ...all.map(verb => line(verb.name, verb.summary)),
    line('help [VERB]', 'this, or all about one verb'),
    line('agent', AGENT),
    '',
    EXIT_CODES,
    '',
  ].join('\n');
}

/** All about one verb, as `weft help VERB` and `weft VERB --help` print it. */
export const helpOf = (verb: Verb, name: string): string =>
  `${verb.summary}\n\n${verb.usage.replaceAll('{weft}', name).trimEnd()}\n`;
