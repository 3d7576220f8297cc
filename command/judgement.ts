/** What policies say of a packet, by an agent that knows. */
import type { Judgement } from '../agent/policy.ts';
import type { Packet } from '../policy/types.ts';
import type { Agents } from './agents.ts';

const question = ({ src, dst, protocol, port }: Packet): string =>
  `/policy?${new URLSearchParams({ src, dst, protocol, port: String(port) }).toString()}`;

/** Agents know all pods and policies: that of the far end, which has the last word, or else the near one's. */
export async function askedPolicy(
  agents: Agents,
  nodes: readonly (string | undefined)[],
  packet: Packet,
): Promise<Judgement> {
  const words: string[] = [];
  const known = new Set((await agents.list()).map(ref => ref.node));
  for (const node of new Set(nodes)) {
    if (node === undefined || !known.has(node)) continue;
    try {
      return (await agents.get(node, question(packet))) as Judgement;
    } catch (error) {
      words.push(`${node} cannot be asked: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { allowed: undefined, words: words.length > 0 ? words : ['no agent of the two nodes can be asked'] };
}
