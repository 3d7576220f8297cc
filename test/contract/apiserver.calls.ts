/** Calls and answers that several groups of the contract have in common. */
import { MERGE } from './apiserver.bed.ts';
import type { World } from './apiserver.world.ts';

// biome-ignore lint/suspicious/noExplicitAny: bodies that are wrong on purpose, and answers of every shape.
export type Any = any;

export const policies = (namespace: string): string =>
  `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;

export const post = (w: World, path: string, body: Any, contentType?: string) =>
  w.bed.call(path, { method: 'POST', body, ...(contentType !== undefined && { contentType }) });
export const patch = (w: World, path: string, body: Any, contentType = MERGE) =>
  w.bed.call(path, { method: 'PATCH', contentType, body });
export const put = (w: World, path: string, body: Any) => w.bed.call(path, { method: 'PUT', body });

export const CONFLICT = (name: string) => ({
  message: `Operation cannot be fulfilled on nodes "${name}": the object has been modified; please apply your changes to the latest version and try again`,
  details: { name, kind: 'nodes' },
});

export const namesOf = (list: Any): string[] => list.items.map((item: Any) => item.metadata.name);
