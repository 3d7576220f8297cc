/** Debian's kernel: downloaded by apt, unpacked beside and not into the machine, kept by name and version. */
import { existsSync, globSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cached } from '../../image/cache.ts';
import { run } from '../../image/run.ts';

export type Kernel = {
  /** Package and version. */
  readonly name: string;
  /** As uname says it. */
  readonly release: string;
  readonly vmlinuz: string;
  /** Holds lib/modules. */
  readonly root: string;
};

/** Depends on the newest kernel of the machine's Debian. */
const META = 'linux-image-amd64';

export const cacheRoot = (): string =>
  join(process.env.WEFT_CACHE || join(homedir(), '.cache', 'weft'), 'kernel');

/** From `apt-cache show`: `linux-image-6.1.0-56-amd64=6.1.192-2`. */
export const wantedPackage = (shown: string): string | undefined => {
  const [, name, version] = /^Depends: (linux-image-[\w.+-]+) \(= ([\w.+~:-]+)\)/m.exec(shown) ?? [];
  return name === undefined ? undefined : `${name}=${version}`;
};

const known = (): Promise<string | undefined> =>
  run(['apt-cache', 'show', '--no-all-versions', META]).then(wantedPackage, () => undefined);

/** Where only root may, a failure here shows in what comes after. */
const update = (): Promise<unknown> =>
  run(['apt-get', '-o', 'DPkg::Lock::Timeout=300', '-qq', 'update']).catch(() => undefined);

function kernelIn(folder: string, name: string): Kernel {
  const [release = ''] = readdirSync(join(folder, 'lib/modules'));
  return { name, release, vmlinuz: join(folder, 'boot', `vmlinuz-${release}`), root: folder };
}

/** Modules that no test needs, as folders of the package: most of its 390 MB. */
const UNWANTED = ['drivers/gpu', 'drivers/media', 'drivers/net/ethernet', 'drivers/net/wireless', 'sound'];

async function unpack(wanted: string, folder: string): Promise<void> {
  const archives = join(folder, 'archives');
  mkdirSync(archives);
  // apt's own user may not write below root's home.
  const download = ['apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', wanted] as const;
  await run(download, { cwd: archives }).catch(async () => {
    await update();
    await run(download, { cwd: archives });
  });
  const [archive = ''] = readdirSync(archives);
  await run(['dpkg-deb', '--extract', join(archives, archive), folder]);
  rmSync(archives, { recursive: true });
  const [release = ''] = readdirSync(join(folder, 'lib/modules'));
  const modules = join(folder, 'lib/modules', release);
  for (const part of UNWANTED) rmSync(join(modules, 'kernel', part), { recursive: true, force: true });
  await run(['depmod', '-b', folder, release], { cure: 'install the Debian package kmod' });
  if (!existsSync(join(folder, 'boot', `vmlinuz-${release}`)))
    throw new Error(`the Debian package ${wanted} has no kernel in it`);
}

const folderName = (wanted: string): string => wanted.replace('=', '_');

const fetchKernel = async (wanted: string): Promise<Kernel> =>
  kernelIn(await cached(folderName(wanted), folder => unpack(wanted, folder), cacheRoot()), wanted);

/** The newest that an earlier run left. */
function kept(): Kernel | undefined {
  const found = globSync('linux-image-*', { cwd: cacheRoot() }).sort((a, b) =>
    a.localeCompare(b, 'en', { numeric: true }),
  );
  const name = found.at(-1);
  return name === undefined ? undefined : kernelIn(join(cacheRoot(), name), name.replace('_', '='));
}

/** The newest kernel of this machine's Debian; an older one of the cache where apt cannot give it. */
export async function debianKernel(): Promise<Kernel> {
  let wanted = await known();
  if (wanted === undefined) {
    await update();
    wanted = await known();
  }
  const old = kept();
  if (wanted !== undefined)
    return fetchKernel(wanted).catch(error => {
      if (old === undefined) throw error;
      return old;
    });
  if (old !== undefined) return old;
  throw new Error(
    `apt knows no package ${META}: it is in Debian's section main; run apt-get update, or look at apt's sources`,
  );
}
