/** What is in the image: a base layer that stays when only the agent changes, and the agent. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buildShim } from '../cni/shim/build.ts';
import { WIREGUARD_PROGRAM } from '../manifests/wireguard.ts';
import { ARCHITECTURES, type Arch } from './arch.ts';
import { bundle, NATIVE, nativePart } from './bundle.ts';
import { debianRoot, type Unpacked } from './debian.ts';
import { assertMachine, libraryClosure } from './elf.ts';
import { type NodeBinary, nodeBinary } from './node.ts';
import { MULTIARCH, PACKAGES, WIREGUARD_GO_PACKAGE } from './packages.ts';
import type { Entries, Entry } from './tar.ts';
import { type Built, buildSupervisor, buildWireguardGo } from './wireguard.ts';

/** Folder of the agent's own files; agent/shim.ts looks here for the CNI binary. */
const HOME = 'usr/lib/weft';

/**
 * The agent is small and long-lived, and boards are small: a heap that grows by less than a third before it is collected. V8's
 * own `--optimize-for-size` takes 2 to 10 MB less, but collects twice as often while the event loop waits.
 */
export const ENTRYPOINT: readonly string[] = [
  '/usr/bin/node',
  '--max-semi-space-size=2',
  '--heap-growing-percent=30',
  `/${HOME}/main.mjs`,
];

/** glibc gives threads pools of their own; one for all takes up to 10 MB less. */
export const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin', MALLOC_ARENA_MAX: '1' } as const;

/** Without arguments the container is the agent; the command itself prints its help. */
export const COMMAND: readonly string[] = ['agent'];

/** Part of the image, for the table of sizes → its entries. */
export type Parts = Readonly<Record<string, Entries>>;

export type Contents = {
  readonly base: Parts;
  readonly app: Parts;
  /** What was built in, in words: labels of the image. */
  readonly versions: {
    readonly node: string;
    readonly wireguardGo: string;
    readonly packages: readonly string[];
  };
};

const file = (content: Uint8Array | string, executable = false): Entry => ({
  kind: 'file',
  content: typeof content === 'string' ? Buffer.from(content) : content,
  executable,
});

const folder = (mode?: number): Entry => (mode === undefined ? { kind: 'folder' } : { kind: 'folder', mode });

const link = (target: string): Entry => ({ kind: 'link', target });

const program = (arch: Arch, path: string): Entry => file(assertMachine(arch, path), true);

/** Places for mounts, so that a read-only root needs no more. */
const FOLDERS = [
  'dev',
  'etc/cni/net.d',
  'etc/weft',
  'host/proc/sys/net',
  'opt/cni/bin',
  'proc',
  'run/weft',
  'run/wireguard',
  'sys',
  'usr/lib64',
  'var/lib/weft',
];

/** With the few files that libraries ask for. */
const skeleton: Entries = new Map<string, Entry>([
  ...['bin', 'lib', 'lib64', 'sbin'].map((name): [string, Entry] => [name, link(`usr/${name}`)]),
  ...FOLDERS.map((path): [string, Entry] => [path, folder()]),
  ['root', folder(0o700)],
  ['tmp', folder(0o1777)],
  ['var/run', link('/run')],
  ['run/xtables.lock', file('')],
  ['etc/group', file('root:x:0:\n')],
  ['etc/machine-id', file('')],
  ['etc/nsswitch.conf', file('hosts: files dns\n')],
  ['etc/passwd', file('root:x:0:0:root:/root:/sbin/nologin\n')],
]);

/** Debian's list of protocols is a plain file; all others that we take are programs. */
const debianFiles = (arch: Arch, root: string, paths: readonly string[]): Entries =>
  new Map(
    paths.map(path => [
      path,
      path.startsWith('etc/') ? file(readFileSync(join(root, path))) : program(arch, join(root, path)),
    ]),
  );

const licences = (root: string, node: NodeBinary): Entries => {
  const docs = join(root, 'usr/share/doc');
  const found = readdirSync(docs).flatMap((name): [string, Entry][] => {
    const path = join(docs, name, 'copyright');
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
    return isFile ? [[`usr/share/doc/${name}/copyright`, file(readFileSync(path))]] : [];
  });
  return new Map([...found, ['usr/share/doc/node/LICENSE', file(readFileSync(node.license))]]);
};

type Sources = {
  readonly node: NodeBinary;
  readonly debian: Unpacked;
  readonly wireguardGo: Built;
  readonly supervisor: string;
};

const debianVersion = (debian: Unpacked, name: string): string =>
  debian.versions.find(version => version.startsWith(`${name}=`)) ?? name;

async function fetchSources(arch: Arch): Promise<Sources> {
  const built = await buildWireguardGo(arch);
  const packages = [...Object.keys(PACKAGES), ...(built ? [] : [WIREGUARD_GO_PACKAGE])];
  const debian = await debianRoot(arch, packages);
  const wireguardGo = built ?? {
    path: join(debian.root, 'usr/bin/wireguard-go'),
    version: `Debian ${debianVersion(debian, WIREGUARD_GO_PACKAGE)}, since there is no Go here`,
  };
  return { node: await nodeBinary(arch), debian, wireguardGo, supervisor: await buildSupervisor(arch) };
}

async function baseParts(arch: Arch, sources: Sources): Promise<Parts> {
  const { node, debian, wireguardGo, supervisor } = sources;
  const paths = Object.values(PACKAGES)
    .flat()
    .map(path => path.replace(MULTIARCH, ARCHITECTURES[arch].triplet));
  const packaged = paths.filter(path => !path.startsWith('etc/')).map(path => join(debian.root, path));
  const programs = [...packaged, node.path, wireguardGo.path, supervisor];
  const libraries = await libraryClosure(arch, debian.root, programs);
  return {
    node: new Map([['usr/bin/node', program(arch, node.path)]]),
    'wireguard-go': new Map([
      ['usr/bin/wireguard-go', program(arch, wireguardGo.path)],
      [WIREGUARD_PROGRAM.slice(1), program(arch, supervisor)],
    ]),
    'wg, nft, iptables-legacy': debianFiles(arch, debian.root, paths),
    libraries: new Map([...libraries].map(([path, source]) => [path, program(arch, source)])),
    licences: licences(debian.root, node),
    skeleton,
  };
}

async function appParts(arch: Arch): Promise<Parts> {
  return {
    agent: new Map<string, Entry>([
      [`${HOME}/main.mjs`, file(await bundle('main.ts'), true)],
      [`${HOME}/${NATIVE}`, file(nativePart(arch))],
      ['usr/bin/weft', link(`../lib/weft/main.mjs`)],
    ]),
    'CNI binary': new Map([[`${HOME}/weft-cni`, program(arch, buildShim(arch))]]),
  };
}

/** Rejects with what is missing on this machine, or could not be fetched, and what to do. */
export async function imageContents(arch: Arch): Promise<Contents> {
  const sources = await fetchSources(arch);
  return {
    base: await baseParts(arch, sources),
    app: await appParts(arch),
    versions: {
      node: sources.node.version,
      wireguardGo: sources.wireguardGo.version,
      packages: sources.debian.versions,
    },
  };
}
