/** `weft rotate-key`: new WireGuard keys, one node after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { annotations } from '../discovery/annotations.ts';
import type { Client } from '../discovery/client.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { list as listOf, may, object, said, string } from './shape.ts';
import { rotation } from './shapes/answers.ts';
import { EXIT, type Io, UsageError, type Verb, type Where } from './types.ts';

const NODES = '/api/v1/nodes';
const POLL_MS = 500;
/** Longer than the 180 s after which an agent gives up a peer that went away just before. */
const WAIT_S = 240;

export type NodeKey = {
  readonly name: string;
  readonly ready: boolean;
  readonly publicKey: string | undefined;
  /** Token of the last rotation that is done. */
  readonly rotated: string | undefined;
  /** Token of the last one that was asked for. */
  readonly asked: string | undefined;
};

type Json = Readonly<Record<string, unknown>>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function parse(node: unknown): NodeKey {
  const { metadata, status } = record(node);
  const notes = record(record(metadata).annotations);
  const conditions = list(record(status).conditions).map(record);
  return {
    name: text(record(metadata).name) ?? '',
    ready: conditions.some(c => c.type === 'Ready' && c.status === 'True'),
    publicKey: text(notes[annotations.publicKey.name]),
    rotated: text(notes[annotations.keyRotated.name]),
    asked: text(notes[annotations.rotateKey.name]),
  };
}

async function allNodes(client: Client): Promise<readonly NodeKey[]> {
  const found: NodeKey[] = [];
  let more: string | undefined;
  do {
    const page = record(await client.get(NODES, { query: { limit: 100, continue: more } }));
    found.push(...list(page.items).map(parse));
    more = text(record(page.metadata).continue) || undefined;
  } while (more !== undefined);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The nodes asked for, or all that are Ready; `skipped` says why others are not. One without a key has no agent. */
export function chosen(
  nodes: readonly NodeKey[],
  names: readonly string[],
  all: boolean,
): { readonly nodes: readonly NodeKey[]; readonly skipped: readonly string[] } {
  const wanted = all ? nodes : nodes.filter(node => names.includes(node.name));
  const missing = names.find(name => !nodes.some(node => node.name === name));
  if (missing !== undefined) throw new Error(`there is no Node ${missing}: see kubectl get nodes`);
  const able = wanted.filter(node => node.publicKey !== undefined && (node.ready || !all));
  const skipped = wanted
    .filter(node => !able.includes(node))
    .map(node =>
      node.publicKey === undefined
        ? `${node.name} shows no key: no weft agent has run there`
        : `${node.name} is not Ready: its agent could not change its key`,
    );
  return { nodes: able, skipped };
}

export type RotateOptions = {
  readonly client: Client;
  readonly waitMs: number;
  readonly token: () => string;
};

/** A node was asked, and has not done it. */
class RotationError extends Error {}

/** Asks one node, and waits until its new key is published and its peers have sessions with it. Resolves with that key. */
export async function rotateNode({ client, waitMs, token }: RotateOptions, node: NodeKey): Promise<string> {
  const path = `${NODES}/${encodeURIComponent(node.name)}`;
  const asked = token();
  await client.patch(path, { metadata: { annotations: { [annotations.rotateKey.name]: asked } } });
  const end = performance.now() + waitMs;
  for (;;) {
    const now = parse(await client.get(path));
    if (now.rotated === asked && now.publicKey !== undefined && now.publicKey !== node.publicKey)
      return now.publicKey;
    if (now.asked !== asked)
      throw new RotationError(
        `${node.name}: somebody else has asked for another key meanwhile; wait for that one, the nodes after it were not asked`,
      );
    if (performance.now() > end)
      throw new RotationError(
        `${node.name}: ${now.publicKey === node.publicKey ? 'its key has not changed' : 'its key has changed, but not all of its peers have a session with the new one'} after ${Math.round(waitMs / 1_000)} s: see "rotation" in weft get /status --node ${node.name}. It goes on by itself; the nodes after it were not asked`,
      );
    await sleep(POLL_MS);
  }
}

const secondsOf = (value: string | undefined): number => {
  const seconds = Number(value ?? WAIT_S);
  if (!Number.isInteger(seconds) || seconds < 1) throw new UsageError(`--wait must be seconds, not ${value}`);
  return seconds;
};

/** On the node itself, as root: its agent is asked, and says in its status how it goes. */
async function rotateHere(io: Io, where: Where, json: boolean): Promise<number> {
  const agents = await io.agents(where);
  try {
    if (agents.post === undefined)
      throw new UsageError('say which node, or --all; without a name only root on a node may ask');
    const asked = await agents.post('/rotate-key');
    if (json) io.out(`${JSON.stringify({ rotated: [], skipped: [], asked }, undefined, 2)}\n`);
    else io.out(`asked; see "rotation" in ${io.name} get /status\n`);
    return EXIT.ok;
  } finally {
    agents.close();
  }
}

type Rotated = { readonly node: string; readonly before: string | undefined; readonly after: string };

type Names = { readonly names: readonly string[]; readonly all: boolean };

/** One after the other. Resolves with why one of them has not done it: those after it were not asked. */
async function rotateEach(
  options: RotateOptions,
  nodes: readonly NodeKey[],
  done: (one: Rotated) => void,
): Promise<string | undefined> {
  try {
    for (const node of nodes)
      done({ node: node.name, before: node.publicKey, after: await rotateNode(options, node) });
    return undefined;
  } catch (error) {
    if (error instanceof RotationError) return error.message;
    throw error;
  }
}

async function rotateThere(io: Io, where: Where, { names, all }: Names, waitMs: number, json: boolean) {
  const client = await io.client(where);
  const rotated: Rotated[] = [];
  try {
    const { nodes, skipped } = chosen(await allNodes(client), names, all);
    for (const sentence of skipped) io.err(`skipped: ${sentence}\n`);
    const token = (): string => new Date().toISOString();
    const failed = await rotateEach({ client, waitMs, token }, nodes, one => {
      rotated.push(one);
      if (!json) io.out(`${one.node}: ${one.before} → ${one.after}\n`);
    });
    if (failed !== undefined) io.err(`${io.name} rotate-key: ${failed}\n`);
    if (json) io.out(`${JSON.stringify({ rotated, skipped, failed }, undefined, 2)}\n`);
    return skipped.length > 0 || failed !== undefined ? EXIT.trouble : EXIT.ok;
  } finally {
    client.close();
  }
}

const shape = object({
  rotated: listOf(object({ node: string, before: may(string), after: said(string, 'its new public key') })),
  skipped: said(listOf(string), 'nodes that could not be asked, and why'),
  failed: may(said(string, 'why a node, and those after it, have not changed their keys')),
  asked: may(said(rotation, 'without a name, on a node: how its agent answers')),
});

export const rotateKey: Verb = {
  name: 'rotate-key',
  summary: 'give nodes new WireGuard keys, one after the other, without loss',
  usage: `  {weft} rotate-key NODE... [OPTIONS]
  {weft} rotate-key --all [OPTIONS]
  {weft} rotate-key              on a node, as root: this node

  --all                 every Node that is Ready and has a key
  --wait SECONDS        how long one node may take (default ${WAIT_S})
  -o, --output json     for programs
${WHERE_USAGE}

Writes the annotation weft.network/rotate-key on a Node, and goes on to the next when that node's
new key is published and every peer that had a session with it has a new one. Your user needs get,
list and patch on nodes. Each node is without a way to send for a tenth of a second or so; its
packets wait, 128 a peer. Exit code 1: a node was skipped, or did not do it; those after it were not asked.`,
  shape,
  run: async (args, io) => {
    const own = { all: { type: 'boolean' }, wait: { type: 'string' } } as const;
    const { where, json, values, positionals } = parseOptions(args, own);
    const all = values.all === true;
    const names = where.node === undefined ? positionals : [...positionals, where.node];
    if (all && names.length > 0) throw new UsageError('say names of nodes, or --all, not both');
    const waitMs = secondsOf(values.wait as string | undefined) * 1_000;
    if (!all && names.length === 0) return rotateHere(io, where, json);
    return rotateThere(io, where, { names, all }, waitMs, json);
  },
};
