/**
 * Changes of set elements that are asked for in one turn of the event loop go as one batch: for each the kernel goes through
 * all chains of everybody's tables.
 */
import type { TableRuns } from './nfset.ts';

/** Changes of one batch, so that it stays well below what a batch may hold. */
const MOST = 16;

type Waiting = TableRuns & { readonly resolve: () => void; readonly reject: (error: unknown) => void };

/** `send`: one batch, all or nothing. Each change is done, or rejects with its own error, whatever becomes of the others. */
export function openSharing(
  send: (batch: readonly TableRuns[]) => Promise<void>,
): (change: TableRuns) => Promise<void> {
  let waiting: Waiting[] = [];

  /** Where one is refused nothing is done of the others either: each is tried by itself. */
  const sendAll = async (all: readonly Waiting[]): Promise<void> => {
    try {
      await send(all);
      for (const one of all) one.resolve();
    } catch (error) {
      if (all.length === 1) all[0]?.reject(error);
      else await Promise.all(all.map(one => sendAll([one])));
    }
  };

  const flush = (): void => {
    const all = waiting;
    waiting = [];
    for (let at = 0; at < all.length; at += MOST) void sendAll(all.slice(at, at + MOST));
  };

  return change =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ ...change, resolve, reject });
    });
}
