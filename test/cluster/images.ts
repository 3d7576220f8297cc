import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isBuilt, targetFolder } from './build.ts';
import { cacheRoot, digest } from './layout.ts';
import { type ImageSpec, writeImage } from './oci.ts';
import { must, run } from './process.ts';

/** Names under which every node has these images; use them with `imagePullPolicy: IfNotPresent`. */
export const PAUSE_IMAGE = 'localhost/weft-test/pause:1';

/** Upstream's test program, with bash as its shell, ping, curl, ip, nc and busybox' applets. */
export const AGNHOST_IMAGE = 'localhost/weft-test/agnhost:2';

/** The same with dig and getent, which Kubernetes' own tests ask DNS with. */
export const E2E_IMAGE = 'localhost/weft-test/e2e:1';

/** agnhost again, serving on the ports where the CRI's own tests look for a web server, in a pod and on the node. */
export const WEB_IMAGE = 'localhost/weft-test/web:1';
export const HOST_WEB_IMAGE = 'localhost/weft-test/hostweb:1';

export const COREDNS_IMAGE = 'localhost/weft-test/coredns:1';

/** Programs copied from the machine, with their libraries, in this order: the first of a name stays. */
const TOOLS = ['bash', 'curl', 'ping', 'ip', 'nc'] as const;

const E2E_TOOLS = ['dig', 'getent'] as const;

const PATH_FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'] as const;

const pathOf = (name: string): string | undefined =>
  PATH_FOLDERS.map(folder => join(folder, name)).find(existsSync);

/** Whether this machine has what the image for tests of DNS is made of (Debian: bind9-dnsutils). */
export const hasDig = (): boolean => E2E_TOOLS.every(pathOf);

const findTool = (name: string): string => {
  const path = pathOf(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
};

const copyInto = (rootfs: string, from: string, to: string): void => {
  const path = join(rootfs, to);
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(realpathSync(from), path);
  chmodSync(path, 0o755);
};

/** Shared libraries of a program, and its loader; none when it is static. */
const libraries = async (path: string): Promise<readonly string[]> => {
  const { stdout } = await run(['ldd', path]);
  return [...stdout.matchAll(/(\/[^\s:]+) \(0x/g)].flatMap(match => match[1] ?? []);
};

const addTool = async (rootfs: string, name: string): Promise<void> => {
  const path = findTool(name);
  copyInto(rootfs, path, `/bin/${name}`);
  for (const library of await libraries(path)) copyInto(rootfs, library, library);
};

const addBusybox = async (rootfs: string): Promise<void> => {
  const busybox = findTool('busybox');
  copyInto(rootfs, busybox, '/bin/busybox');
  const applets = (await must([busybox, '--list'])).split('\n').filter(Boolean);
  for (const applet of applets)
    if (!existsSync(join(rootfs, 'bin', applet))) symlinkSync('busybox', join(rootfs, 'bin', applet));
};

const fillAgnhost = async (rootfs: string): Promise<void> => {
  copyInto(rootfs, join(targetFolder('agnhost'), 'agnhost'), '/agnhost');
  for (const tool of TOOLS) await addTool(rootfs, tool);
  // busybox' own shell would run its applets whatever is on the PATH.
  symlinkSync('bash', join(rootfs, 'bin', 'sh'));
  await addBusybox(rootfs);
  for (const folder of ['tmp', 'etc', 'root']) mkdirSync(join(rootfs, folder), { recursive: true });
  chmodSync(join(rootfs, 'tmp'), 0o1777);
  writeFileSync(join(rootfs, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/bash\n');
};

const PAUSE_SOURCE = join(import.meta.dirname, 'pause.c');

/** The static program that is pid 1 of pods and nodes. @returns its path in the cache */
export const ensurePause = async (): Promise<string> => {
  const folder = join(cacheRoot(), `pause-${digest(readFileSync(PAUSE_SOURCE, 'utf8'), process.arch)}`);
  const path = join(folder, 'pause');
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  await must([
    'gcc',
    '-Os',
    '-static',
    '-s',
    '-Wall',
    '-Werror',
    '-o',
    `${path}.${process.pid}.new`,
    PAUSE_SOURCE,
  ]);
  renameSync(`${path}.${process.pid}.new`, path);
  return path;
};

type Fill = (rootfs: string) => void | Promise<void>;

/** Makes the archive unless the cache has it. `inputs` are what its contents depend on. */
const ensureImage = async (
  spec: Omit<ImageSpec, 'rootfs'>,
  inputs: readonly string[],
  fill: Fill,
): Promise<string> => {
  const sources = ['images.ts', 'oci.ts'].map(file => readFileSync(join(import.meta.dirname, file), 'utf8'));
  const path = join(cacheRoot(), `image-${digest(JSON.stringify(spec), ...inputs, ...sources)}.tar`);
  if (existsSync(path)) return path;
  const rootfs = mkdtempSync(join(tmpdir(), 'weft-rootfs-'));
  try {
    chmodSync(rootfs, 0o755);
    await fill(rootfs);
    await writeImage({ ...spec, rootfs }, `${path}.${process.pid}.new`);
    renameSync(`${path}.${process.pid}.new`, path);
  } finally {
    rmSync(rootfs, { recursive: true, force: true });
  }
  return path;
};

/** Archives of pause and agnhost; the agnhost target must be built. @returns their paths */
export const ensureImages = async (): Promise<readonly string[]> => {
  const pause = await ensurePause();
  const pauseSpec = { name: PAUSE_IMAGE, entrypoint: ['/pause'] };
  const agnhostSpec = { name: AGNHOST_IMAGE, entrypoint: ['/agnhost'], arguments: ['pause'] };
  return [
    await ensureImage(pauseSpec, [pause], rootfs => copyInto(rootfs, pause, '/pause')),
    await ensureImage(agnhostSpec, [targetFolder('agnhost')], fillAgnhost),
  ];
};

/** What agnhost's porter shows on ports with TLS; nobody checks it. */
const addCertificate = async (rootfs: string): Promise<void> => {
  const [key, crt] = [join(rootfs, 'localhost.key'), join(rootfs, 'localhost.crt')];
  const argv = [
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '36500',
    '-subj',
    '/CN=localhost',
  ];
  await must([...argv, '-keyout', key, '-out', crt]);
  chmodSync(key, 0o644);
};

/** As those tests call wget. busybox' own, which Debian links statically, crashes before it sends anything. */
const WGET = `#!/bin/sh
limit=60
while [ $# -gt 1 ]; do [ "$1" = -T ] && limit=$2; shift; done
exec curl -gfsS -m "$limit" "$1"
`;

const addWget = (rootfs: string): void => {
  const path = join(rootfs, 'bin', 'wget');
  rmSync(path, { force: true });
  writeFileSync(path, WGET, { mode: 0o755 });
};

/** Archive of what Kubernetes' own tests run; the agnhost target must be built. Without dig where there is none. */
export const ensureE2eImage = (): Promise<string> => {
  const spec = { name: E2E_IMAGE, entrypoint: ['/agnhost'], arguments: ['pause'] };
  const tools = [...(hasDig() ? E2E_TOOLS : []), 'conntrack'];
  // Upstream's agnhost has it within reach, and tests of DNS make servers of it.
  const coredns = isBuilt('coredns') ? [join(targetFolder('coredns'), 'coredns')] : [];
  return ensureImage(spec, [targetFolder('agnhost'), ...tools, ...coredns], async rootfs => {
    await fillAgnhost(rootfs);
    for (const tool of tools) await addTool(rootfs, tool);
    for (const program of coredns) copyInto(rootfs, program, '/coredns');
    addWget(rootfs);
    await addCertificate(rootfs);
  });
};

/** Archives of the two web servers; the agnhost target must be built. */
export const ensureWebImages = (): Promise<readonly string[]> =>
  Promise.all(
    [[WEB_IMAGE, 80] as const, [HOST_WEB_IMAGE, 12003] as const].map(([name, port]) => {
      const args = ['netexec', `--http-port=${port}`, '--udp-port=-1'];
      const spec = { name, entrypoint: ['/agnhost'], arguments: args };
      return ensureImage(spec, [targetFolder('agnhost')], fillAgnhost);
    }),
  );

/** Archive of CoreDNS, whose target must be built. */
export const ensureDnsImage = (): Promise<string> => {
  const folder = targetFolder('coredns');
  const spec = { name: COREDNS_IMAGE, entrypoint: ['/coredns'] };
  return ensureImage(spec, [folder], rootfs => copyInto(rootfs, join(folder, 'coredns'), '/coredns'));
};
