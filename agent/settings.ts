/** The file of settings as it is now, beside what is in force: a ConfigMap may have changed since the agent's start. */
import { type Config, fields } from '../config.ts';
import type { NodeFacts } from '../doctor/types.ts';
import { loadSettings } from './settingsfile.ts';

const names = Object.keys(fields) as readonly (keyof Config)[];

export function settingsNow(path: string, inForce: Config): NodeFacts['settings'] {
  const now = loadSettings(path);
  if (now === undefined) return { path: undefined, error: undefined, changed: [] };
  if (!now.ok) return { path, error: now.error, changed: [] };
  const differs = (name: keyof Config): boolean =>
    JSON.stringify(now.value[name]) !== JSON.stringify(inForce[name]);
  return { path, error: undefined, changed: names.filter(differs) };
}
