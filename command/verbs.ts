/** The table of verbs: name → its file, which is loaded only when it is called or its help is asked for. */
import type { Verb } from './types.ts';

type Load = () => Promise<Verb>;

/** In the order of `weft help`. */
export const verbs: Readonly<Record<string, Load>> = {
  dashboard: async () => (await import('./dashboard.ts')).dashboard,
  get: async () => (await import('./get.ts')).get,
  version: async () => (await import('./version.ts')).version,
};

export const verbNames: readonly string[] = [...Object.keys(verbs), 'help'];
