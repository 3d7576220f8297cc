/** What is fetched or slow to make stays outside the repository, keyed by all that it depends on. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const cacheRoot = (): string =>
  join(process.env.WEFT_CACHE || join(homedir(), '.cache', 'weft'), 'image');

export const sha256 = (...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** Key of a cache entry: short, and different for different lists of inputs. */
export const keyOf = (...inputs: readonly string[]): string => sha256(JSON.stringify(inputs)).slice(0, 16);

/** A folder below `root` that `fill` has filled once for ever. @returns its path */
export async function cached(
  name: string,
  fill: (folder: string) => Promise<void>,
  root = cacheRoot(),
): Promise<string> {
  const folder = join(root, name);
  if (existsSync(folder)) return folder;
  mkdirSync(root, { recursive: true });
  const fresh = mkdtempSync(join(root, '.new-'));
  try {
    await fill(fresh);
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}
