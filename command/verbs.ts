/** The table of verbs: name → its file, which is loaded only when it is called or its help is asked for. */
import type { Verb } from './types.ts';

type Load = () => Promise<Verb>;

/** In the order of `weft help`. */
export const verbs: Readonly<Record<string, Load>> = {
  status: async () => (await import('./status.ts')).status,
  peers: async () => (await import('./peers.ts')).peers,
  ping: async () => (await import('./ping.ts')).ping,
  graph: async () => (await import('./graph.ts')).graph,
  dashboard: async () => (await import('./dashboard.ts')).dashboard,
  explain: async () => (await import('./explain.ts')).explain,
  doctor: async () => (await import('./doctor.ts')).doctor,
  plan: async () => (await import('./plan.ts')).plan,
  'rotate-key': async () => (await import('./rotate-key.ts')).rotateKey,
  uninstall: async () => (await import('./uninstall.ts')).uninstall,
  get: async () => (await import('./get.ts')).get,
  completion: async () => (await import('./completion.ts')).completion,
  version: async () => (await import('./version.ts')).version,
};

export const verbNames: readonly string[] = [...Object.keys(verbs), 'help'];
