/**
 * Writes the pages that are made from the code's own tables: docs/annotations.md, docs/metrics.md and others.
 * `--check` writes nothing and fails where a page is stale.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandPage, schemaFiles } from '../command/docs.ts';
import { fields } from '../config.ts';
import { annotationsPage } from '../discovery/docs.ts';
import { metricsPage } from '../metrics/docs.ts';

const DOCS = join(import.meta.dirname, '..', 'docs');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

const shown = (value: unknown): string => (value === undefined ? 'not set' : `\`${JSON.stringify(value)}\``);

function settingsPage(): string {
  const rows = Object.entries(fields).map(
    ([name, field]) => `| \`${name}\` | ${shown(field.default)} | ${cell(field.doc)} |`,
  );
  return [
    '# Settings',
    '<!-- Made by `npm run docs` from config.ts. Do not edit. -->',
    '',
    'One JSON object, in the ConfigMap `weft-config` of the manifests, which the agent reads as /etc/weft/config.json (`--config FILE` elsewhere). What is absent has its default. A setting that is unknown or wrong stops the agent at its start with every error at once; `weft --print-config` prints what is in force. After a change of the ConfigMap: `kubectl -n weft rollout restart daemonset weft`; until then `weft doctor` says what has changed, and whether the agents will start with it.',
    '',
    '```json',
    JSON.stringify({ clusterCidrs: ['10.42.0.0/16', 'fd42::/56'], keepalive: 20 }),
    '```',
    '',
    '| setting | default | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** File beneath docs/ → its text. */
const pages: Readonly<Record<string, string>> = {
  'annotations.md': annotationsPage(),
  'command.md': await commandPage(),
  'metrics.md': metricsPage(),
  'settings.md': settingsPage(),
  ...Object.fromEntries(Object.entries(await schemaFiles()).map(([name, text]) => [`schema/${name}`, text])),
};

function onDisk(name: string): string | undefined {
  try {
    return readFileSync(join(DOCS, name), 'utf8');
  } catch {
    return undefined;
  }
}

const stale = Object.keys(pages).filter(name => onDisk(name) !== pages[name]);

if (process.argv.includes('--check')) {
  for (const name of stale) process.stderr.write(`docs/${name} is stale: run npm run docs\n`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(join(DOCS, 'schema'), { recursive: true });
  for (const name of stale) {
    writeFileSync(join(DOCS, name), pages[name] as string);
    process.stdout.write(`wrote docs/${name}\n`);
  }
}
