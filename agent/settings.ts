/** The file of settings as it is now, beside what is in force: a ConfigMap may have changed since the agent's start. */
import { existsSync, readFileSync } from 'node:fs';
import { type Config, fields, parseConfig } from '../config.ts';
import { messageOf } from '../discovery/api-error.ts';
import type { NodeFacts } from '../doctor/types.ts';

const names = Object.keys(fields) as readonly (keyof Config)[];

export function settingsNow(path: string, inForce: Config): NodeFacts['settings'] {
  if (!existsSync(path)) return { path: undefined, error: undefined, changed: [] };
  try {
    const now = parseConfig(JSON.parse(readFileSync(path, 'utf8')));
    if (!now.ok) return { path, error: now.error, changed: [] };
    const differs = (name: keyof Config): boolean =>
      JSON.stringify(now.value[name]) !== JSON.stringify(inForce[name]);
    return { path, error: undefined, changed: names.filter(differs) };
  } catch (error) {
    return { path, error: messageOf(error), changed: [] };
  }
}
