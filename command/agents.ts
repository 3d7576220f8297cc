/** The agents of a cluster, as a verb asks them: on this node, or through the API server. */

export type AgentRef = {
  readonly node: string;
  /** `weft-x7k2p`; undefined where it is asked on its own node. */
  readonly pod: string | undefined;
  /** Why it cannot be asked, in words: its pod is not running. */
  readonly absent: string | undefined;
};

export type Agents = {
  /** local: the node's own socket, one node. remote: exec into pods, with the user's own rights. */
  readonly kind: 'local' | 'remote';
  /** Sorted by node. */
  readonly list: () => Promise<readonly AgentRef[]>;
  /** What the agent answers to GET `path`, such as `/status`: JSON, or text as a string. Rejects with what failed, and where. */
  readonly get: (node: string, path: string, timeoutMs?: number) => Promise<unknown>;
  /** As get, by POST; only of the node's own socket. */
  readonly post?: (path: string) => Promise<unknown>;
  readonly close: () => void;
};

/** An answer's body as a value: JSON where it is, else the text. */
export function parseAnswer(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}
