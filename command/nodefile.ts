/** A file of Nodes, as `kubectl get nodes -o yaml` or a person writes it → facts. Pure but for its parser. */
import { loadAll, load as loadYaml } from 'js-yaml';
import { parseNode } from '../discovery/annotations.ts';
import { podCidrsOf } from '../discovery/state.ts';
import type { NodeFact } from '../discovery/types.ts';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Documents of JSON or YAML; lists are opened. */
function objectsOf(text: string): readonly Fields[] {
  const documents: unknown[] = [];
  if (text.trimStart().startsWith('{')) documents.push(loadYaml(text));
  else loadAll(text, document => documents.push(document));
  return documents
    .filter(isFields)
    .flatMap(document => (Array.isArray(document.items) ? document.items.filter(isFields) : [document]));
}

/** One who plans has no uid yet, and Nodes that are written in this order are made in this order. */
function completed(object: Fields, i: number): Fields {
  const metadata = isFields(object.metadata) ? object.metadata : {};
  const creationTimestamp = new Date(i * 1_000).toISOString();
  return { ...object, metadata: { uid: metadata.name, creationTimestamp, ...metadata } };
}

export type NodeFile = { readonly nodes: readonly NodeFact[]; readonly errors: readonly string[] };

/** Throws where it is no YAML and no JSON. What is no Node is an error by itself. */
export function readNodes(text: string): NodeFile {
  const found = objectsOf(text).map((object, i) => {
    if (object.kind !== undefined && object.kind !== 'Node')
      return { ok: false as const, error: `object ${i + 1} is a ${JSON.stringify(object.kind)} and no Node` };
    const whole = completed(object, i);
    return parseNode(whole, podCidrsOf(whole));
  });
  return {
    nodes: found.flatMap(f => (f.ok ? [f.value] : [])),
    errors: found.flatMap(f => (f.ok ? [] : [f.error])),
  };
}
