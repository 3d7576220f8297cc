/**
 * The kernel holds its lock on links for tens of milliseconds while it removes one. Whoever asks it for links then waits for
 * that in the middle of the asking, an agent with its whole event loop, and pods with the agent.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Pods may go all the time, and what is damaged must be mended all the same. */
const PATIENCE_MS = 500;

/** Resolves when all of them are over, those that come meanwhile left out, or after half a second. */
export async function allGone(leaving: ReadonlySet<Promise<unknown>>): Promise<void> {
  if (leaving.size === 0) return;
  const over = new AbortController();
  const patience = sleep(PATIENCE_MS, undefined, { signal: over.signal }).catch(() => {});
  await Promise.race([Promise.allSettled(leaving), patience]);
  over.abort();
}
