/** Keeps nodes.json in step with the facts: written whole, only when changed, at most every two seconds. */
import { join } from 'node:path';
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

export function startSaver(options: {
  readonly dir: string;
  readonly facts: () => readonly NodeFact[];
  readonly log: Log;
  readonly clock: Clock;
}): Saver {
  const { dir, facts, log, clock } = options;
  const path = join(dir, STATE_FILE);
  let marked = false;
  let written = printState(facts());
  const write = async (): Promise<undefined> => {
    if (!marked) return;
    marked = false;
    const text = printState(facts());
    if (text === written) return;
    privateFolder(dir);
    await writeWholeLater(path, text);
    written = text;
  };
  const onError = (error: unknown): void => {
    marked = true;
    log.error(
      { path, error: messageOf(error) },
      'the peers cannot be saved; without the API server a restart would not know them',
    );
  };
  let cancel = (): void => {};
  const runner = startRunner({
    run: write,
    onError,
    minMs: DEBOUNCE_MS,
    maxMs: RETRY_MAX_MS,
    retryMs: 5_000,
    timers: clock,
  });
  return {
    mark: () => {
      if (marked) return;
      marked = true;
      cancel = clock.set(DEBOUNCE_MS, runner.mark);
    },
    close: async () => {
      cancel();
      await runner.stop();
      await write().catch(onError);
    },
  };
}
