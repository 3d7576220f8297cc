/** Takes our annotations off the own Node, from which peers then leave this node out. */
import { annotations, LEFT } from '../discovery/annotations.ts';
import type { Client } from '../discovery/client.ts';
import { attempt } from './kernel.ts';
import type { Removal } from './types.ts';

const OWN: readonly string[] = Object.values(annotations)
  .filter(annotation => annotation.writer === 'own agent')
  .map(annotation => annotation.name);

const notesOf = (node: unknown): Readonly<Record<string, unknown>> =>
  (node as { readonly metadata?: { readonly annotations?: Readonly<Record<string, unknown>> } }).metadata
    ?.annotations ?? {};

/** Those that users wrote stay. */
export const uninstallNode = (client: Client, nodeName: string): Promise<readonly Removal[]> =>
  attempt(`annotations of Node ${nodeName}`, async () => {
    const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`;
    const there = notesOf(await client.get(path));
    const ours = OWN.filter(name => name in there);
    if (ours.length === 0) return [];
    // Peers hold a key that is gone without a word.
    await client.patch(path, { metadata: { annotations: { [annotations.publicKey.name]: LEFT } } });
    await client.patch(path, {
      metadata: { annotations: Object.fromEntries(ours.map(name => [name, null])) },
    });
    return ours.map(name => ({ kind: 'removed', what: `annotation ${name} of Node ${nodeName}` }));
  });
