/** The guest's first file system: busybox, the modules, and the scripts that go over to the machine's files. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cached, keyOf, sha256 } from '../../image/cache.ts';
import { cpio, type Entry } from './cpio.ts';
import { FOR_ROOT, FOR_TESTS, filesOf } from './modules.ts';
import { cacheRoot, type Kernel } from './package.ts';

const BUSYBOX = '/bin/busybox';

const SCRIPTS = ['init', 'guest'] as const;

const script = (name: string): string => readFileSync(join(import.meta.dirname, `${name}.sh`), 'utf8');

const names = (files: readonly string[]): string => files.map(file => `${basename(file)}\n`).join('');

async function entriesFor(kernel: Kernel): Promise<readonly Entry[]> {
  const forRoot = await filesOf(kernel.root, kernel.release, FOR_ROOT);
  const all = await filesOf(kernel.root, kernel.release, [...FOR_ROOT, ...FOR_TESTS]);
  const forTests = all.filter(file => !forRoot.includes(file));
  return [
    { path: 'bin' },
    { path: 'bin/busybox', content: readFileSync(BUSYBOX), executable: true },
    { path: 'init', content: script('init'), executable: true },
    { path: 'guest.sh', content: script('guest') },
    { path: 'for-root', content: names(forRoot) },
    { path: 'for-tests', content: names(forTests) },
    { path: 'modules' },
    ...all.map(file => ({ path: `modules/${basename(file)}`, content: readFileSync(file) })),
  ];
}

/** With zeros to a multiple of 4, where the kernel looks for the next archive. */
const aligned = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

/** Path of the archive without a job; made once for all that it depends on. */
export async function initramfs(kernel: Kernel): Promise<string> {
  const inputs = [
    kernel.name,
    ...FOR_ROOT,
    ...FOR_TESTS,
    ...SCRIPTS.map(script),
    sha256(readFileSync(BUSYBOX)),
  ];
  const folder = await cached(
    `initramfs-${keyOf(...inputs)}`,
    async fresh =>
      writeFileSync(join(fresh, 'initrd'), aligned(gzipSync(cpio(await entriesFor(kernel)), { level: 1 }))),
    cacheRoot(),
  );
  return join(folder, 'initrd');
}
