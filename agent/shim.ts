/** Where the CNI binary lies that this agent installs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' };

/** In the image at a fixed place; in a checkout where cni/shim/build.ts puts it. */
export function shimPath(): string {
  const name = `weft-cni-${ARCH[process.arch] ?? process.arch}`;
  const places = [
    process.env.WEFT_CNI_BINARY,
    '/usr/lib/weft/weft-cni',
    join(import.meta.dirname, '..', 'cni', 'bin', name),
  ];
  const found = places.find(path => path !== undefined && existsSync(path));
  if (found === undefined)
    throw new Error(
      `the CNI binary is in none of ${places.filter(Boolean).join(', ')}: build it with node cni/shim/build.ts`,
    );
  return found;
}
