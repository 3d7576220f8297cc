/** What the agents say of themselves, for verbs that speak of the whole mesh. */
import type { StatusReport } from '../agent/report.ts';
import type { Agents } from './agents.ts';
import { askAll } from './ask.ts';
import type { Io, Where } from './types.ts';

export type NodeReport = {
  readonly node: string;
  /** As the agent's JSON has it: of another version fields may be missing. */
  readonly report: StatusReport | undefined;
  /** Why there is none. */
  readonly error: string | undefined;
};

export type MeshReport = {
  /** local: one node's view alone. */
  readonly kind: Agents['kind'];
  /** Sorted by node. */
  readonly nodes: readonly NodeReport[];
};

const isReport = (value: unknown): value is StatusReport =>
  typeof value === 'object' && value !== null && Array.isArray((value as { peers?: unknown }).peers);

/** Why a node cannot be asked that others have as a peer. */
export const NO_POD =
  'there is no weft pod on it: is the node up, and does the DaemonSet want one there? See kubectl -n weft get pods -o wide';

/** Nodes that the others have as peers, and on which there is no pod of an agent. */
function withoutPod(nodes: readonly NodeReport[]): readonly NodeReport[] {
  const known = new Set(nodes.map(n => n.node));
  const named = new Set(nodes.flatMap(n => (n.report?.peers ?? []).map(peer => peer.node)));
  return [...named]
    .filter(node => !known.has(node))
    .map(node => ({
      node,
      report: undefined,
      error: NO_POD,
    }));
}

/** Rejects only where not one agent could be asked. */
export async function readMesh(agents: Agents, node: string | undefined): Promise<MeshReport> {
  const answers = await askAll(agents, '/status', node);
  const nodes = answers.map((answer): NodeReport => {
    if (!answer.ok) return { node: answer.node, report: undefined, error: answer.error };
    if (isReport(answer.value)) return { node: answer.node, report: answer.value, error: undefined };
    return {
      node: answer.node,
      report: undefined,
      error: 'its answer is no status: is it of another version?',
    };
  });
  const first = nodes.find(n => n.error !== undefined);
  if (nodes.every(n => n.report === undefined) && first !== undefined)
    throw new Error(`no agent answers; ${first.node}: ${first.error}`);
  const all = agents.kind === 'remote' && node === undefined ? [...nodes, ...withoutPod(nodes)] : nodes;
  return { kind: agents.kind, nodes: all.toSorted((a, b) => (a.node < b.node ? -1 : 1)) };
}

/** Opens the way, reads, closes it. */
export async function meshOf(io: Io, where: Where): Promise<MeshReport> {
  const agents = await io.agents(where);
  try {
    return await readMesh(agents, where.node);
  } finally {
    agents.close();
  }
}
