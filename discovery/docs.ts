/** The annotation table as a page. Pure. */
import { annotations } from './annotations.ts';

/** For a cell of a Markdown table. */
const cell = (text: string): string => text.replaceAll(/(?<!\\)\|/g, '\\|').replaceAll('\n', ' ');

const GENERATED = '<!-- Made by `npm run docs` from discovery/annotations.ts. Do not edit. -->';

/** docs/annotations.md. */
export function annotationsPage(): string {
  const rows = Object.values(annotations).map(
    ({ name, writer, content, example, doc }) =>
      `| \`${name}\` | ${writer} | ${cell(content)} | \`${cell(example)}\` | ${cell(doc)} |`,
  );
  return [
    '# Node annotations',
    GENERATED,
    '',
    'Annotations on Node objects are all that the nodes of a weft mesh know of each other. The agent of a node writes those of its own Node and no other; the rest are for you:',
    '',
    '```',
    'kubectl annotate node NAME weft.network/location=home',
    '```',
    '',
    'Agents follow a change at once. A value that does not parse counts as not set, except that of a list the good entries count. It is reported as a Warning Event `InvalidAnnotation` on the Node (`kubectl describe node NAME`), in the metrics and in the status of every agent, and never stops other peers. So is a name that looks like a slip of one of these.',
    '',
    '| annotation | written by | content | example | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Also read: the label `topology.kubernetes.io/region` (where `weft.network/location` is not set) and the annotation `k3s.io/external-ip` (addresses towards the world).',
    '',
  ].join('\n');
}
