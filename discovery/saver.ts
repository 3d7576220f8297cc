/** Keeps files in step with what is known: written whole, only when changed, at a bounded rate. */
import { dirname, join } from 'node:path';
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { messageOf } from './api-error.ts';
import type { Clock } from './clock.ts';
import { privateFolder, readIfThere, writeWholeLater } from './files.ts';
import { parseState, printState } from './state.ts';
import type { NodeFact } from './types.ts';

const STATE_FILE = 'nodes.json';

const DEBOUNCE_MS = 2_000;

/** The longest pause between two tries while the disk is full or broken. */
const RETRY_MAX_MS = 300_000;

/** The facts of the last run. A damaged file is said and ignored. */
export function loadState(dir: string, log: Log): readonly NodeFact[] {
  const path = join(dir, STATE_FILE);
  let error: string;
  try {
    const text = readIfThere(path);
    if (text === undefined) return [];
    const state = parseState(text);
    if (state.ok) return state.value;
    error = state.error;
  } catch (thrown) {
    error = messageOf(thrown);
  }
  log.warn({ path, error }, 'the peers of the last run cannot be read; they come again from the API server');
  return [];
}

export type Saver = {
  /** Something may have changed. */
  readonly mark: () => void;
  /** Writes what is not written yet. */
  readonly close: () => Promise<void>;
};

export type SaverOptions = {
  readonly path: string;
  readonly print: () => string;
  /** Between the first mark and the writing, in milliseconds. */
  readonly debounceMs: number;
  /** What is not saved, and what follows: `the peers cannot be saved; …`. */
  readonly trouble: string;
  /** Nothing is on disk: what there is now is written too. */
  readonly fresh?: boolean;
  readonly log: Log;
  readonly clock: Clock;
};

export function startSaver(options: SaverOptions): Saver {
  const { path, print, debounceMs, trouble, fresh = false, log, clock } = options;
  let marked = false;
  let written = fresh ? undefined : print();
  const write = async (): Promise<undefined> => {
    if (!marked) return;
    marked = false;
    const text = print();
    if (text === written) return;
    privateFolder(dirname(path));
    await writeWholeLater(path, text);
    written = text;
  };
  const onError = (error: unknown): void => {
    marked = true;
    log.error({ path, error: messageOf(error) }, trouble);
  };
  let cancel = (): void => {};
  const runner = startRunner({
    run: write,
    onError,
    minMs: debounceMs,
    maxMs: RETRY_MAX_MS,
    retryMs: 5_000,
    timers: clock,
  });
  return {
    mark: () => {
      if (marked) return;
      marked = true;
      cancel = clock.set(debounceMs, runner.mark);
    },
    close: async () => {
      cancel();
      await runner.stop();
      await write().catch(onError);
    },
  };
}

/** Of the facts of Nodes. */
export const startStateSaver = (
  dir: string,
  facts: () => readonly NodeFact[],
  log: Log,
  clock: Clock,
): Saver =>
  startSaver({
    path: join(dir, STATE_FILE),
    print: () => printState(facts()),
    debounceMs: DEBOUNCE_MS,
    trouble: 'the peers cannot be saved; without the API server a restart would not know them',
    log,
    clock,
  });
