/** Agents of the lab bundled and started as in the image, while something is measured. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ENTRYPOINT, ENVIRONMENT } from '../../image/contents.ts';

export async function asInImage<T>(work: () => Promise<T>): Promise<T> {
  const folder = mkdtempSync('/tmp/weft-bundle-');
  try {
    execFileSync(process.execPath, [join(import.meta.dirname, '../../image/bundle.ts'), folder]);
    process.env.WEFT_LAB_AGENT = [...ENTRYPOINT.slice(1, -1), join(folder, 'main.mjs')].join(' ');
    process.env.WEFT_CNI_BINARY = join(folder, 'weft-cni');
    process.env.MALLOC_ARENA_MAX = ENVIRONMENT.MALLOC_ARENA_MAX;
    return await work();
  } finally {
    delete process.env.WEFT_LAB_AGENT;
    delete process.env.WEFT_CNI_BINARY;
    delete process.env.MALLOC_ARENA_MAX;
    rmSync(folder, { recursive: true, force: true });
  }
}
