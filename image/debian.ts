/** Debian packages of any architecture, verified by apt, unpacked beside and not into the machine. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Arch } from './arch.ts';
import { cached, cacheRoot, keyOf } from './cache.ts';
import { SUITE } from './packages.ts';
import { run } from './run.ts';

type Repository = { readonly uri: string; readonly suite: string };

/** Debian's key; its package is on every Debian machine. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The mirrors that this machine uses for the release. */
async function repositories(): Promise<readonly Repository[]> {
  const format = '$(ORIGIN) $(RELEASE) $(REPO_URI)';
  const lines = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']);
  const found = lines.split('\n').flatMap((line): Repository[] => {
    const [origin, suite = '', uri = ''] = line.split(' ');
    return origin === 'Debian' && (suite === SUITE || suite.startsWith(`${SUITE}-`)) ? [{ uri, suite }] : [];
  });
  if (!found.some(({ suite }) => suite === SUITE))
    throw new Error(
      `apt of this machine has no source of Debian ${SUITE}, which the image is made of: add one to /etc/apt/sources.list.d and run apt-get update`,
    );
  return found;
}

const configText = (folder: string, arch: Arch): string =>
  [
    `APT::Architecture "${arch}";`,
    `APT::Architectures { "${arch}"; };`,
    `Dir::State "${folder}/state";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}/cache";`,
    `Dir::Etc::SourceList "${folder}/sources.list";`,
    'Dir::Etc::SourceParts "/dev/null";',
    'Acquire::Languages "none";',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "root";',
    '',
  ].join('\n');

/** An apt that knows one architecture and thinks that nothing is installed. @returns its configuration's path */
async function openApt(folder: string, arch: Arch): Promise<string> {
  for (const path of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, path), { recursive: true });
  const sources = (await repositories()).map(
    ({ uri, suite }) => `deb [signed-by=${KEYRING}] ${uri} ${suite} main\n`,
  );
  writeFileSync(join(folder, 'status'), '');
  writeFileSync(join(folder, 'sources.list'), sources.join(''));
  writeFileSync(join(folder, 'apt.conf'), configText(folder, arch));
  return join(folder, 'apt.conf');
}

/** Names of packages as apt prints them for a plan: name and version, sorted. */
const planned = (simulation: string): readonly string[] =>
  [...simulation.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => `${name}=${version}`).sort();

async function unpack(archives: string, root: string): Promise<void> {
  // Debian's packages of this release still name /lib and /sbin, the image has them merged into /usr.
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    mkdirSync(join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }
  for (const file of readdirSync(archives)
    .filter(name => name.endsWith('.deb'))
    .sort()) {
    const archive = join(root, 'data.tar');
    await run(['sh', '-c', 'dpkg-deb --fsys-tarfile "$0" >"$1"', join(archives, file), archive]);
    await run(['tar', '-x', '--keep-directory-symlink', '-f', archive, '-C', root]);
    rmSync(archive);
  }
}

export type Unpacked = {
  /** Folder that holds the packages' files, /lib and the like merged into /usr. */
  readonly root: string;
  /** `name=version` of every package in it, sorted. */
  readonly versions: readonly string[];
};

const DAY_MS = 24 * 60 * 60 * 1000;

const isFresh = (file: string): boolean => existsSync(file) && Date.now() - statSync(file).mtimeMs < DAY_MS;

type Argv = [string, ...string[]];

/** Asks the mirrors for the newest versions and unpacks them unless the cache has them. */
async function fetchRoot(arch: Arch, packages: readonly string[], apt: string): Promise<Unpacked> {
  const env = { APT_CONFIG: await openApt(apt, arch) };
  const install: Argv = ['apt-get', '-qq', '-y', 'install', ...packages];
  await run(['apt-get', '-qq', 'update'], { env });
  const versions = planned(await run([...install, '--simulate'] as Argv, { env }));
  const root = await cached(`debian-${arch}-${keyOf(...versions)}`, async folder => {
    await run([...install, '--download-only'] as Argv, { env });
    await unpack(join(apt, 'cache/archives'), folder);
  });
  return { root, versions };
}

/** Packages and all that they depend on, in the release's versions of today. */
export async function debianRoot(arch: Arch, packages: readonly string[]): Promise<Unpacked> {
  const memo = join(cacheRoot(), `debian-${arch}-${keyOf(SUITE, ...packages)}.json`);
  if (isFresh(memo)) {
    const known = JSON.parse(readFileSync(memo, 'utf8')) as Unpacked;
    if (existsSync(known.root)) return known;
  }
  const apt = mkdtempSync(join(tmpdir(), 'weft-apt-'));
  try {
    const unpacked = await fetchRoot(arch, packages, apt);
    writeFileSync(memo, JSON.stringify(unpacked));
    return unpacked;
  } finally {
    rmSync(apt, { recursive: true, force: true });
  }
}
