/** Whether this machine can run Debian's kernel. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { debianKernel } from './package.ts';

/** Program → Debian package. */
const PROGRAMS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  depmod: 'kmod',
  setpriv: 'util-linux',
  'dpkg-deb': 'dpkg',
} as const;

const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];

const onPath = (program: string): boolean =>
  FOLDERS.some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Why it cannot, as a sentence; undefined where it can, and then the kernel's package is in the cache. */
export async function kernelUnavailable(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `it boots an amd64 kernel with an amd64 machine's programs; this machine is ${process.platform} ${process.arch}`;
  const missing = Object.entries(PROGRAMS).filter(([program]) => !onPath(program));
  if (missing.length > 0)
    return `programs are missing: install the Debian packages ${missing.map(([, of]) => of).join(' ')}`;
  return debianKernel().then(
    () => undefined,
    error => `Debian's kernel cannot be had: ${error instanceof Error ? error.message : String(error)}`,
  );
}
