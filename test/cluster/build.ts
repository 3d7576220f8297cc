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
import { type OwnModule, type Target, type TargetName, targets } from './versions.ts';

const MODULES = {
  own: { folder: join(import.meta.dirname, 'go'), source: 'main.go' },
  e2e: { folder: join(import.meta.dirname, 'e2e'), source: 'e2e_test.go' },
  flannel: { folder: join(import.meta.dirname, 'flannel'), source: 'main.go' },
  critest: { folder: join(import.meta.dirname, 'critest'), source: 'critest_test.go' },
  libcni: { folder: join(import.meta.dirname, '../cni/libcni'), source: 'main.go' },
} as const satisfies Readonly<Record<OwnModule, object>>;

const goFiles = (name: OwnModule): readonly string[] => {
  const { folder, source } = MODULES[name];
  return ['go.mod', 'go.sum', source].map(file => readFileSync(join(folder, file), 'utf8'));
};

const keyOf = (target: Target): string =>
  digest(
    JSON.stringify(target),
    process.arch,
    ...(typeof target.source === 'string' ? goFiles(target.source) : []),
  );

/** Folder with the binaries of a target, whether it exists yet or not. */
export const targetFolder = (name: TargetName): string =>
  join(cacheRoot(), `${targets[name].name}-${keyOf(targets[name])}`);

export const isBuilt = (name: TargetName): boolean => existsSync(targetFolder(name));

const commands = (target: Target, out: string): readonly (readonly string[])[] => {
  const flags = ['-trimpath', '-p', '2', '-ldflags', target.ldflags];
  if (typeof target.source !== 'string') {
    const { module, version } = target.source;
    return [['go', 'install', ...flags, ...target.packages.map(p => `${join(module, p)}@${version}`)]];
  }
  const build =
    target.packages.length > 0 ? [['go', 'build', ...flags, '-o', `${out}/`, ...target.packages]] : [];
  if (target.tests === undefined) return build;
  // Without vet, which would go through thousands of packages of others first.
  return [...build, ['go', 'test', '-c', '-vet=off', ...flags, '-o', join(out, target.tests), '.']];
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
    for (const argv of commands(target, aside))
      await must(['nice', '-n', '10', ...argv], {
        cwd: MODULES[typeof target.source === 'string' ? target.source : 'own'].folder,
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
