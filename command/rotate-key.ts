/** `weft rotate-key`: new WireGuard keys, one node after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { annotations } from '../discovery/annotations.ts';
import type { Client } from '../discovery/client.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
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
  readonly say: (line: string) => void;
  readonly waitMs: number;
  readonly token: () => string;
};

/** Asks one node, and waits until its new key is published and its peers have sessions with it. Rejects where it does not. */
export async function rotateNode(
  { client, say, waitMs, token }: RotateOptions,
  node: NodeKey,
): Promise<void> {
  const path = `${NODES}/${encodeURIComponent(node.name)}`;
  const asked = token();
  await client.patch(path, { metadata: { annotations: { [annotations.rotateKey.name]: asked } } });
  const end = performance.now() + waitMs;
  for (;;) {
    const now = parse(await client.get(path));
    if (now.rotated === asked && now.publicKey !== node.publicKey) {
      say(`${node.name}: ${node.publicKey} → ${now.publicKey}\n`);
      return;
    }
    if (now.asked !== asked)
      throw new Error(
        `${node.name}: somebody else has asked for another key meanwhile; wait for that one, the nodes after it were not asked`,
      );
    if (performance.now() > end)
      throw new Error(
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
async function rotateHere(io: Io, where: Where): Promise<number> {
  const agents = await io.agents(where);
  try {
    if (agents.post === undefined)
      throw new UsageError('say which node, or --all; without a name only root on a node may ask');
    await agents.post('/rotate-key');
    io.out(`asked; see "rotation" in ${io.name} get /status\n`);
    return EXIT.ok;
  } finally {
    agents.close();
  }
}

async function rotateThere(io: Io, where: Where, names: readonly string[], all: boolean, waitMs: number) {
  const client = await io.client(where);
  try {
    const { nodes, skipped } = chosen(await allNodes(client), names, all);
    for (const sentence of skipped) io.err(`skipped: ${sentence}\n`);
    const token = (): string => new Date().toISOString();
    for (const node of nodes) await rotateNode({ client, say: io.out, waitMs, token }, node);
    return skipped.length > 0 ? EXIT.trouble : EXIT.ok;
  } finally {
    client.close();
  }
}

export const rotateKey: Verb = {
  name: 'rotate-key',
  summary: 'give nodes new WireGuard keys, one after the other, without loss',
  usage: `  {weft} rotate-key NODE... [OPTIONS]
  {weft} rotate-key --all [OPTIONS]
  {weft} rotate-key              on a node, as root: this node

  --all                 every Node that is Ready and has a key
  --wait SECONDS        how long one node may take (default ${WAIT_S})
${WHERE_USAGE}

Writes the annotation weft.network/rotate-key on a Node, and goes on to the next when that node's
new key is published and every peer that had a session with it has a new one. Your user needs get,
list and patch on nodes. Each node is without a way to send for a tenth of a second or so; its
packets wait, 128 a peer.`,
  run: async (args, io) => {
    const own = { all: { type: 'boolean' }, wait: { type: 'string' } } as const;
    const { where, values, positionals } = parseOptions(args, own);
    const all = values.all === true;
    const names = where.node === undefined ? positionals : [...positionals, where.node];
    if (all && names.length > 0) throw new UsageError('say names of nodes, or --all, not both');
    const waitMs = secondsOf(values.wait as string | undefined) * 1_000;
    if (!all && names.length === 0) return rotateHere(io, where);
    return rotateThere(io, where, names, all, waitMs);
  },
};
