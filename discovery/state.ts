/**
 * The facts on disk, from which the tunnels come up before, and without, the API server. The
 * file has the shape of a NodeList, so that the one parser of Nodes reads it back. Pure.
 */
import type { Result } from '../types.ts';
import { type Annotation, annotations, parseNode } from './annotations.ts';
import type { NodeFact } from './types.ts';

const VERSION = 1;

const print = <T>(entry: Annotation<T>, value: T | undefined): readonly [string, string][] =>
  value === undefined ? [] : [[entry.name, entry.print(value)]];

/** The Node's own words for what we know of it; defaults are left out. */
const printAnnotations = (fact: NodeFact): Record<string, string> =>
  Object.fromEntries([
    ...print(annotations.publicKey, fact.publicKey),
    ...print(annotations.endpoints, fact.endpoints.length > 0 ? fact.endpoints : undefined),
    ...print(annotations.forceEndpoint, fact.forceEndpoint),
    ...print(annotations.location, fact.location),
    ...print(annotations.keepalive, fact.keepalive),
    ...print(annotations.relay, fact.relay ? undefined : false),
  ]);

const toNode = (fact: NodeFact) => ({
  metadata: {
    name: fact.name,
    uid: fact.uid,
    creationTimestamp: fact.createdAt,
    annotations: printAnnotations(fact),
  },
  spec: { podCIDRs: fact.podCidrs },
});

const lines = new WeakMap<NodeFact, string>();

/** Facts are exchanged and never changed: of a thousand Nodes only those are printed that are new. */
function lineOf(fact: NodeFact): string {
  const line = lines.get(fact) ?? JSON.stringify(toNode(fact));
  lines.set(fact, line);
  return line;
}

/** One Node a line, so that a person can read it. */
export const printState = (facts: readonly NodeFact[]): string =>
  `{"version":${VERSION},"items":[\n${facts.map(lineOf).join(',\n')}\n]}\n`;

type Stored = { readonly version?: unknown; readonly items?: unknown };

/** `spec.podCIDRs` of a Node, where it is a full one. */
export function podCidrsOf(node: unknown): readonly string[] {
  const { spec } = (typeof node === 'object' && node !== null ? node : {}) as { readonly spec?: unknown };
  const { podCIDRs } = (typeof spec === 'object' && spec !== null ? spec : {}) as {
    readonly podCIDRs?: unknown;
  };
  return Array.isArray(podCIDRs) ? podCIDRs.filter(cidr => typeof cidr === 'string') : [];
}

/** Text of the file → the facts, or why the file is of no use. Nodes that do not parse are left out. */
export function parseState(text: string): Result<readonly NodeFact[]> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, error: text === '' ? 'it is empty' : 'it is not JSON' };
  }
  const { version, items } = (typeof json === 'object' && json !== null ? json : {}) as Stored;
  if (version !== VERSION || !Array.isArray(items))
    return { ok: false, error: `it is not a version ${VERSION} list of Nodes` };
  const facts = items.map(item => parseNode(item, podCidrsOf(item)));
  return { ok: true, value: facts.flatMap(fact => (fact.ok ? [fact.value] : [])) };
}
