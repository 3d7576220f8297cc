/**
 * `npm run image [-- --arch amd64,arm64]`: OCI archives in dist/, without registry or container engine.
 * The same sources and the same versions of packages give the same bytes.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { IMAGE } from '../manifests/names.ts';
import { VERSION } from '../version.ts';
import { ARCHITECTURES, type Arch, isArch } from './arch.ts';
import { bundle } from './bundle.ts';
import { COMMAND, type Contents, ENTRYPOINT, ENVIRONMENT, imageContents, type Parts } from './contents.ts';
import { type Layer, makeLayer } from './layer.ts';
import { type ImageSpec, ociArchive } from './oci.ts';
import type { Entries } from './tar.ts';

const DIST = join(import.meta.dirname, '..', 'dist');

/** Path of the archive that `buildImage` writes. */
export const archivePath = (arch: Arch): string => join(DIST, `weft-${arch}.tar`);

const merge = (parts: Parts): Entries => new Map(Object.values(parts).flatMap(entries => [...entries]));

const specOf = (arch: Arch, { versions }: Contents): ImageSpec => ({
  name: IMAGE,
  architecture: arch,
  entrypoint: ENTRYPOINT,
  command: COMMAND,
  env: Object.entries(ENVIRONMENT).map(([name, value]) => `${name}=${value}`),
  labels: {
    'org.opencontainers.image.title': 'weft',
    'org.opencontainers.image.description':
      'A CNI for Kubernetes clusters whose nodes do not share a network',
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.version': VERSION,
    'network.weft.node': versions.node,
    'network.weft.wireguard-go': versions.wireguardGo,
    'network.weft.packages': versions.packages.join(' '),
  },
});

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1).padStart(7);

const sizeOf = (entries: Entries): number =>
  [...entries.values()].reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.content.length : 0), 0);

const table = (name: string, parts: Parts, layer: Layer): readonly string[] => [
  `  ${name.padEnd(20)} ${mb(layer.rawSize)} MB, compressed ${mb(layer.blob.length)} MB`,
  ...Object.entries(parts).map(([part, entries]) => `    ${part.padEnd(18)} ${mb(sizeOf(entries))} MB`),
];

export type Image = {
  readonly archive: Buffer;
  /** For people: parts and sizes. */
  readonly report: string;
};

/** The whole archive in memory. */
export async function makeImage(arch: Arch): Promise<Image> {
  const contents = await imageContents(arch);
  const base = await makeLayer(merge(contents.base));
  const app = await makeLayer(merge(contents.app));
  const archive = ociArchive(specOf(arch, contents), [base, app]);
  const report = [
    ...table('base layer', contents.base, base),
    ...table('agent layer', contents.app, app),
    `  wireguard-go: ${contents.versions.wireguardGo}`,
    `  Node ${contents.versions.node}, ${contents.versions.packages.join(', ')}`,
  ];
  return { archive, report: report.join('\n') };
}

/** Writes dist/weft-ARCH.tar. @returns its path */
export async function buildImage(arch: Arch, say: (line: string) => void = () => {}): Promise<string> {
  const { archive, report } = await makeImage(arch);
  const path = archivePath(arch);
  mkdirSync(DIST, { recursive: true });
  writeFileSync(`${path}.${process.pid}.new`, archive);
  renameSync(`${path}.${process.pid}.new`, path);
  say(`${path}: ${IMAGE} for ${arch}, ${mb(archive.length).trim()} MB\n${report}`);
  return path;
}

/** Writes dist/kubectl-weft, the command as one file for workstations. It needs Node there. @returns its path */
export async function buildPlugin(): Promise<string> {
  const text = Buffer.from(await bundle('main.ts')).toString('utf8');
  const path = join(DIST, 'kubectl-weft');
  mkdirSync(DIST, { recursive: true });
  writeFileSync(path, text.replace(/^#!.*/, '#!/usr/bin/env node'), { mode: 0o755 });
  return path;
}

const parseArchitectures = (text: string): readonly Arch[] => {
  const words = text.split(',').map(word => word.trim());
  const wrong = words.find(word => !isArch(word));
  if (wrong !== undefined)
    throw new Error(
      `--arch: there is no architecture ${wrong}; known are ${Object.keys(ARCHITECTURES).join(', ')}`,
    );
  return words.filter(isArch);
};

async function main(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { arch: { type: 'string' } } });
  const architectures = parseArchitectures(values.arch ?? Object.keys(ARCHITECTURES).join(','));
  for (const arch of architectures) await buildImage(arch, line => process.stdout.write(`${line}\n`));
  process.stdout.write(`${await buildPlugin()}: the weft command for workstations, also as kubectl weft\n`);
  return 0;
}

if (import.meta.main)
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`npm run image: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  });
