/** The file of settings, read as it is now. */
import { existsSync, readFileSync } from 'node:fs';
import { type Config, parseConfig } from '../config.ts';
import { messageOf } from '../discovery/api-error.ts';
import type { Result } from '../types.ts';

/** undefined: there is no such file. A file that cannot be read, or is no JSON, is an error like a wrong setting. */
export function loadSettings(path: string): Result<Config> | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return parseConfig(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}
