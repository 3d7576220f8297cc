/**
 * The one loop that applies. Handlers call `mark`; runs never overlap, come at least
 * `minMs` apart, again after `maxMs` without a mark, and after an error with growing pauses.
 * Runs have a fifth of a processor, with something saved up: a burst goes through at once, but in a
 * large cluster that does not keep still, pods must not wait for passes that follow one another.
 */
export type Timers = {
  readonly now: () => number;
  readonly set: (ms: number, run: () => void) => () => void;
};

export const systemTimers: Timers = {
  now: () => performance.now(),
  set: (ms, run) => {
    // A timer of 0 is one of a millisecond, for which a pod would wait.
    if (ms <= 0) {
      const turn = setImmediate(run);
      return () => clearImmediate(turn);
    }
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

export type RunnerOptions = {
  /** One run. Resolves to the milliseconds after which it wants to run again, if any. Rejects: retried. */
  readonly run: () => Promise<number | undefined>;
  readonly onError: (error: unknown) => void;
  readonly minMs: number;
  readonly maxMs: number;
  /** First pause after an error; doubles up to maxMs. */
  readonly retryMs: number;
  readonly timers?: Timers;
  /** Milliseconds of processor time that this thread, or process, has used so far. */
  readonly worked?: () => number;
};

export type Runner = {
  /** Something changed: run as soon as `minMs` allows. */
  readonly mark: () => void;
  /** Somebody waits for it: run at the end of this turn, with all others who do, or as soon as the run under way is over. */
  readonly hurry: () => void;
  /** Resolves when no run is under way; none follows. */
  readonly stop: () => Promise<void>;
};

/** Milliseconds from the beginning of a run to the next for one of work. */
const RESTS = 5;

/** That may be owed: a fifth of a second's work, as when several nodes join a small cluster. */
const OWED_MS = 1_000;

/** Longest rest: where the first run takes seconds, as on a small board, peers and damage must not wait for half a minute. */
const MOST_REST_MS = 2_000;

/** Not the time that passes: on a machine that is busy with other things a run takes long and costs little. */
const processorTime = (): number => {
  // That of one thread costs a fraction of that of all, and Node 22 lacks it.
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return (user + system) / 1_000;
};

export function startRunner(options: RunnerOptions): Runner {
  const { minMs, maxMs, retryMs } = options;
  const timers = options.timers ?? systemTimers;
  const worked = options.worked ?? processorTime;
  let running: Promise<void> | undefined;
  let dirty = false;
  let hurried = false;
  let stopped = false;
  let lastStart = Number.NEGATIVE_INFINITY;
  let rested = Number.NEGATIVE_INFINITY;
  let owed = 0;
  let owedAt = timers.now();
  let failures = 0;
  let cancel = () => {};

  const schedule = (ms: number): void => {
    cancel();
    const earliest = hurried ? 0 : Math.max(lastStart + minMs, rested) - timers.now();
    if (!stopped) cancel = timers.set(Math.max(ms, earliest, 0), start);
  };

  const once = async (): Promise<void> => {
    let next = maxMs;
    const before = worked();
    try {
      next = Math.min((await options.run()) ?? maxMs, maxMs);
      failures = 0;
    } catch (error) {
      next = Math.min(retryMs * 2 ** failures, maxMs);
      failures += 1;
      options.onError(error);
    }
    running = undefined;
    const now = timers.now();
    owed = Math.max(owed - (now - owedAt), 0) + RESTS * (worked() - before);
    owed = Math.min(owed, OWED_MS + MOST_REST_MS);
    owedAt = now;
    rested = now + Math.max(owed - OWED_MS, 0);
    schedule(dirty ? 0 : next);
  };

  function start(): void {
    if (running !== undefined || stopped) return;
    cancel();
    dirty = false;
    hurried = false;
    lastStart = timers.now();
    running = once();
  }

  const mark = (): void => {
    if (running !== undefined) dirty = true;
    else if (!dirty) {
      dirty = true;
      schedule(0);
    }
  };

  const hurry = (): void => {
    const first = !hurried;
    hurried = true;
    if (running !== undefined) dirty = true;
    else if (first) schedule(0);
  };

  const stop = async (): Promise<void> => {
    stopped = true;
    cancel();
    await running;
  };

  return { mark, hurry, stop };
}

export type Later = { readonly mark: () => void; readonly cancel: () => void };

/** Passes many marks on as one, `ms` after the first of them. */
export function openLater(mark: () => void, ms: number, timers: Timers = systemTimers): Later {
  let cancel: (() => void) | undefined;
  return {
    mark: () => {
      cancel ??= timers.set(ms, () => {
        cancel = undefined;
        mark();
      });
    },
    cancel: () => cancel?.(),
  };
}
