import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { cacheRoot, digest } from './layout.ts';
import { must } from './process.ts';
import { type Target, type TargetName, targets } from './versions.ts';

const GO_FOLDER = join(import.meta.dirname, 'go');

const goFiles = (): readonly string[] =>
  ['go.mod', 'go.sum', 'main.go'].map(file => readFileSync(join(GO_FOLDER, file), 'utf8'));

const keyOf = (target: Target): string =>
  digest(JSON.stringify(target), process.arch, ...(target.source === 'own' ? goFiles() : []));

/** Folder with the binaries of a target, whether it exists yet or not. */
export const targetFolder = (name: TargetName): string =>
  join(cacheRoot(), `${targets[name].name}-${keyOf(targets[name])}`);

export const isBuilt = (name: TargetName): boolean => existsSync(targetFolder(name));

const command = (target: Target, out: string): readonly string[] => {
  const flags = ['-trimpath', '-p', '2', '-ldflags', target.ldflags];
  if (target.source === 'own') return ['go', 'build', ...flags, '-o', `${out}/`, ...target.packages];
  const { module, version } = target.source;
  return ['go', 'install', ...flags, ...target.packages.map(p => `${join(module, p)}@${version}`)];
};

/** `go build` names our own program after its module, whose last element says too little. */
const OWN_BINARY = { cluster: 'weft-kube' } as const;

const nameBinaries = (target: Target, folder: string): void => {
  const names: Readonly<Record<string, string>> = { ...OWN_BINARY, ...target.rename };
  for (const file of readdirSync(folder)) {
    const name = names[file];
    if (name !== undefined) renameSync(join(folder, file), join(folder, name));
  }
  for (const [file, aliases] of Object.entries(target.aliases ?? {}))
    for (const alias of aliases) symlinkSync(file, join(folder, alias));
};

const build = async (name: TargetName): Promise<void> => {
  const target: Target = targets[name];
  mkdirSync(cacheRoot(), { recursive: true });
  // Built aside and renamed, so that an interrupted build leaves nothing that looks whole.
  const aside = mkdtempSync(join(cacheRoot(), '.building-'));
  try {
    await must(['nice', '-n', '10', ...command(target, aside)], {
      cwd: GO_FOLDER,
      timeoutMs: 40 * 60_000,
      env: { CGO_ENABLED: '0', GOBIN: aside, GOFLAGS: '-buildvcs=false' },
    });
    nameBinaries(target, aside);
    if (!isBuilt(name)) renameSync(aside, targetFolder(name));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
};

/**
 * Builds what the cache does not hold, one after another: the compiler fills the cores by itself.
 *
 * @returns the folders that hold the binaries, in the order of `names`.
 * @throws Error with the compiler's last lines.
 */
export const ensureBuilt = async (
  names: readonly TargetName[],
  log: (line: string) => void = () => undefined,
): Promise<readonly string[]> => {
  for (const name of names) {
    if (isBuilt(name)) continue;
    const from = Date.now();
    log(`building ${name} (once; kept in ${cacheRoot()})`);
    await build(name);
    log(`built ${name} in ${Math.round((Date.now() - from) / 1000)} s`);
  }
  return names.map(targetFolder);
};

/** Makes `bin` a folder of links to every binary of the given folders, so that one PATH entry is enough. */
export const linkBinaries = (folders: readonly string[], bin: string): void => {
  mkdirSync(bin, { recursive: true });
  for (const folder of folders)
    for (const file of readdirSync(folder)) {
      rmSync(join(bin, basename(file)), { force: true });
      symlinkSync(join(folder, file), join(bin, basename(file)));
    }
};
