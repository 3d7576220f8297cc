/** What a verb of the `weft` command is. */
import type { Client } from '../discovery/client.ts';
import type { Diagnosis } from '../doctor/types.ts';
import type { Agents } from './agents.ts';
import type { BareOptions } from './bare.ts';
import type { Shape } from './shape.ts';

/** What a program may rely on; docs/command.md prints it. */
export const EXIT = {
  /** Done, and nothing is wrong. */
  ok: 0,
  /** Done, and something is wrong: a peer that is not established, a finding, a lost ping. */
  trouble: 1,
  /** The command line is not understood. */
  usage: 2,
  /** No agent, or no API server, could be asked. */
  unreachable: 3,
} as const;

export type Io = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** A terminal that shows colours, whose user has not said otherwise (NO_COLOR). */
  readonly color: boolean;
  /** Columns of the terminal; undefined: no terminal. */
  readonly width: number | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How the user called it, for hints: `weft` or `kubectl weft`. */
  readonly name: string;
  /** Way to the agents that the options name. Rejects with what is missing. The caller closes it. */
  readonly agents: (options: Where) => Promise<Agents>;
  /** The API server, with the user's own rights. Rejects with what is missing. The caller closes it. */
  readonly client: (options: Where) => Promise<Client>;
  /** This machine, looked at without its agent. Rejects where this program cannot. */
  readonly bare: (options: BareOptions) => Promise<Diagnosis>;
};

/** Options that every verb takes which asks agents. */
export type Where = {
  readonly node: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly namespace: string;
};

export type Verb = {
  readonly name: string;
  /** One line for `weft help`, lower case, no full stop. */
  readonly summary: string;
  /** All of `weft help NAME`: call, options, examples. */
  readonly usage: string;
  /** Shape of `-o json`: part of what we promise. Fields may be added. */
  readonly shape?: Shape;
  /** Resolves with one of EXIT. A UsageError is told with the usage and ends with 2; other errors with 3. */
  readonly run: (args: readonly string[], io: Io) => Promise<number>;
};

/** The command line is not understood; the message says what would be. */
export class UsageError extends Error {}
