/**
 * The manifests that users apply, from one source.
 * `node manifests/render.ts` writes them; `--check` writes nothing and fails when one is stale.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { admission } from './admission.ts';
import { agent } from './agent.ts';
import { chart } from './helm/chart.ts';
import { rights } from './rights.ts';
import { settings } from './settings.ts';
import { uninstall } from './uninstall.ts';
import { wireguard } from './wireguard.ts';
import { type Manifest, renderYaml } from './yaml.ts';

const NOTE = 'Made by `npm run manifests` from manifests/*.ts.';

const kernel: readonly Manifest[] = [...rights, ...admission, ...settings, ...agent];

/** File → objects in the order in which they must be made. */
export const variants: Readonly<Record<string, readonly Manifest[]>> = {
  'weft.yaml': kernel,
  'weft-userspace.yaml': [...kernel, ...wireguard],
  'uninstall.yaml': uninstall,
};

const headers: Readonly<Record<string, string>> = {
  'weft.yaml': `weft: the network of a cluster whose nodes share none. kubectl apply -f weft.yaml\n${NOTE}`,
  'weft-userspace.yaml': `weft, as in weft.yaml, and wireguard-go for kernels without WireGuard.\n${NOTE}`,
  'uninstall.yaml': `Takes everything of weft off every node; manifests/README.md tells what comes before and after.\n${NOTE}`,
};

/** File → its text: what kubectl applies, and the Helm chart. */
export const rendered = (): Readonly<Record<string, string>> =>
  Object.fromEntries([
    ...Object.entries(variants).map(([file, manifests]) => [
      file,
      renderYaml(headers[file] ?? NOTE, manifests),
    ]),
    ...Object.entries(chart()).map(([file, text]) => [`helm/weft/${file}`, text]),
  ]);

const inFolder = (file: string): string => join(import.meta.dirname, file);

const read = (file: string): string | undefined => {
  try {
    return readFileSync(inFolder(file), 'utf8');
  } catch {
    return undefined;
  }
};

/** Files whose committed text is not what the source renders. */
export const stale = (): readonly string[] =>
  Object.entries(rendered()).flatMap(([file, text]) => (read(file) === text ? [] : [file]));

const main = (argv: readonly string[]): number => {
  if (!argv.includes('--check')) {
    for (const [file, text] of Object.entries(rendered())) {
      mkdirSync(dirname(inFolder(file)), { recursive: true });
      writeFileSync(inFolder(file), text);
    }
    return 0;
  }
  const files = stale();
  for (const file of files) process.stderr.write(`manifests/${file} is stale: run npm run manifests\n`);
  return files.length > 0 ? 1 : 0;
};

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
