/** What several tests of discovery need: a client of the test server, quick limits, a log that remembers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../agent/log.ts';
import { type Client, clientOf } from '../../discovery/client.ts';
import { type Clock, systemClock } from '../../discovery/clock.ts';
import type { WatchLimits } from '../../discovery/watch.ts';
import { WATCH_LIMITS } from '../../discovery/watch.ts';

export const clientFor = (url: string, timeoutMs = 5_000): Client =>
  clientOf(
    {
      server: url,
      cluster: { name: 'test', server: url, skipTLSVerify: false },
      user: { name: 'test', token: 'secret' },
      tokenFile: undefined,
      source: 'test',
    },
    timeoutMs,
  );

/** Pauses of seconds become milliseconds, so that tests wait for events and not for time. */
export const quick: WatchLimits = {
  ...WATCH_LIMITS,
  silenceMs: 60_000,
  confirmMs: 300,
  backoff: { firstMs: 5, maxMs: 20 },
};

/** Real time, but a hundred times as fast for pauses of 400 ms and more. */
export const fastClock: Clock = {
  ...systemClock,
  set: (ms, run) => systemClock.set(ms >= 400 && ms < 2 ** 29 ? ms / 100 : ms, run),
};

export type Line = {
  readonly level: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly message: string;
};

export function memoryLog(): Log & { readonly lines: Line[] } {
  const lines: Line[] = [];
  const line = (level: string) => (facts: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ level, facts, message });
  };
  return { lines, debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** Resolves once `condition` holds; rejects with `what` after a long time, so that a hang has a name. */
export async function until(condition: () => boolean, what: string, ms = 15_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** A folder of its own under the system's temporary folder. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'weft-discovery-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
