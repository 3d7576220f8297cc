/** A watch on a server of ours, and what it told. */
import type { TestContext } from 'node:test';
import type { WatchState } from '../../discovery/types.ts';
import { startWatch, type WatchLimits } from '../../discovery/watch.ts';
import type { KubeObject } from '../../discovery/watchevent.ts';
import { clientFor, fastClock, memoryLog, quick, until } from './helpers.ts';
import { startServer } from './server.ts';

export const nameOf = (object: KubeObject): string => String(object.metadata.name);

export async function setUp(t: TestContext, names: readonly string[], limits: Partial<WatchLimits> = {}) {
  const server = await startServer();
  for (const name of names) server.put(name);
  const client = clientFor(server.url, 2_000);
  const known = new Map<string, number>();
  const calls: string[] = [];
  const states: WatchState[] = [];
  const log = memoryLog();
  const start = () =>
    startWatch<string>({
      client,
      path: '/api/v1/nodes',
      log,
      clock: fastClock,
      limits: { ...quick, ...limits },
      handlers: {
        read: nameOf,
        known: () => new Set(known.keys()),
        idOf: name => name,
        listed: (items, whole) => {
          calls.push(`list ${items.length}${whole ? '' : ' held'}`);
          if (whole) known.clear();
          for (const item of items) known.set(item, (known.get(item) ?? 0) + 1);
        },
        changed: item => {
          calls.push(`changed ${item}`);
          known.set(item, (known.get(item) ?? 0) + 1);
        },
        deleted: item => {
          calls.push(`deleted ${item}`);
          known.delete(item);
        },
        state: state => states.push(state),
      },
    });
  const watch = start();
  t.after(async () => {
    await watch.close();
    client.close();
    await server.close().catch(() => {});
  });
  const watching = (what: string) => until(() => server.watchers() > 0, `a watch ${what}`);
  const lists = () => server.requests.filter(r => r.startsWith('GET /api/v1/nodes?limit')).length;
  return { server, watch, known, calls, states, log, watching, lists };
}
