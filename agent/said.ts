/** Things that are said when they begin and when they end, and not at every pass in between. */
import type { Log } from './log.ts';

export type Said = {
  /** All that holds now, as key → sentence; news are logged, and what ended too. */
  readonly say: (current: ReadonlyMap<string, string>) => void;
};

/** Logs the difference to the last call. */
export function openSaid(log: Log): Said {
  let before: ReadonlyMap<string, string> = new Map();
  const say = (current: ReadonlyMap<string, string>): void => {
    const fresh = [...current].filter(([key, sentence]) => before.get(key) !== sentence);
    for (const [key, sentence] of fresh) log.warn({ about: key }, sentence);
    for (const [key, sentence] of before)
      if (!current.has(key)) log.info({ about: key }, `over: ${sentence}`);
    before = new Map(current);
  };
  return { say };
}
