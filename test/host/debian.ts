/**
 * Programs of Debian packages that nobody may install for a test: on a machine that is in use they would start at once
 * and take its network over. apt downloads them, dpkg-deb unpacks them into the cache, and they run in a test's
 * namespaces alone.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cached, keyOf } from '../../image/cache.ts';
import { run } from '../../image/run.ts';

export type Unpacked = {
  /** Holds usr, etc and so on; what the machine has itself is not in it. */
  readonly root: string;
  readonly version: string;
  /** Why it cannot be had; root and version are empty then. */
  readonly missing: string | false;
};

const cacheRoot = (): string => join(process.env.WEFT_CACHE || join(homedir(), '.cache', 'weft'), 'host');

/** Part of the machine itself, and no program of a test: never laid over it. */
const LEFT = /^(systemd|libsystemd|libudev|udev|libpam-|libnss-)/;

/** `Inst libndp0 (1.8-1 Debian …)`; one with `[1.7]` between them is on this machine, and will do as it is. */
const additions = (name: string, simulated: string): readonly string[] =>
  simulated.split('\n').flatMap(line => {
    const [, added = '', old, version] = /^Inst (\S+) (\[\S+\] )?\((\S+)/.exec(line) ?? [];
    const wanted = added === name || (old === undefined && added !== '' && !LEFT.test(added));
    return wanted ? [`${added}=${version}`] : [];
  });

/** Also what is installed already, whose configuration is somebody's. */
const wanted = async (name: string): Promise<readonly string[]> =>
  additions(
    name,
    await run(['apt-get', '--simulate', '--no-install-recommends', '--reinstall', 'install', name]),
  );

/** Where usr is merged, `/lib` is a link to `usr/lib`, which a package of before knows nothing of. */
function mergeUsr(folder: string): void {
  for (const part of ['lib', 'bin', 'sbin']) {
    const from = join(folder, part);
    if (!existsSync(from)) continue;
    cpSync(from, join(folder, 'usr', part), { recursive: true });
    rmSync(from, { recursive: true });
  }
}

async function unpack(packages: readonly string[], folder: string): Promise<void> {
  const archives = join(folder, 'archives');
  mkdirSync(archives);
  // apt's own user may not write below root's home.
  await run(['apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', ...packages], { cwd: archives });
  for (const archive of readdirSync(archives))
    await run(['dpkg-deb', '--extract', join(archives, archive), folder]);
  rmSync(archives, { recursive: true });
  mergeUsr(folder);
}

/** Once outside of namespaces, where apt reaches its servers; inside, the environment remembers the answer. */
export async function debian(name: string): Promise<Unpacked> {
  const remembered = process.env.WEFT_LAB_DEBIAN;
  if (remembered !== undefined) return JSON.parse(remembered) as Unpacked;
  const answer = await fetch_(name).catch(
    (error: unknown): Unpacked => ({
      root: '',
      version: '',
      missing: `the Debian package ${name} cannot be had: ${error instanceof Error ? error.message : String(error)}`,
    }),
  );
  process.env.WEFT_LAB_DEBIAN = JSON.stringify(answer);
  return answer;
}

async function fetch_(name: string): Promise<Unpacked> {
  const packages = await wanted(name);
  const version = packages.find(p => p.startsWith(`${name}=`))?.split('=')[1];
  if (version === undefined) throw new Error(`apt does not know it; run apt-get update`);
  const folder = `${name}_${version}_${keyOf(...packages)}`;
  const root = await cached(folder, fresh => unpack(packages, fresh), cacheRoot());
  return { root, version, missing: false };
}
