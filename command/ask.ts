/** One question to many agents. */
import type { AgentRef, Agents } from './agents.ts';

export type Asked =
  | { readonly node: string; readonly ok: true; readonly value: unknown }
  | { readonly node: string; readonly ok: false; readonly error: string };

/** So many exec connections at once: an API server is not to notice us. */
const AT_ONCE = 16;

/** One question to every agent, or to that of `node`. One that does not answer never stops the others. Sorted by node. */
export async function askAll(
  agents: Agents,
  path: string,
  node?: string,
  timeoutMs?: number,
): Promise<readonly Asked[]> {
  const refs = (await agents.list()).filter(ref => node === undefined || ref.node === node);
  if (node !== undefined && refs.length === 0)
    throw new Error(`there is no weft agent on a node ${node}: see kubectl -n weft get pods -o wide`);
  const answers: Asked[] = [];
  const ask = async (ref: AgentRef): Promise<Asked> => {
    if (ref.absent !== undefined) return { node: ref.node, ok: false, error: ref.absent };
    try {
      return { node: ref.node, ok: true, value: await agents.get(ref.node, path, timeoutMs) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { node: ref.node, ok: false, error: message };
    }
  };
  for (let i = 0; i < refs.length; i += AT_ONCE)
    answers.push(...(await Promise.all(refs.slice(i, i + AT_ONCE).map(ask))));
  return answers;
}
