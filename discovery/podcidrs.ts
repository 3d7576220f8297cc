/**
 * spec.podCIDRs of each Node, which metadata lacks: immutable once set, so asked once per UID.
 * Few are asked one by one; many, at the first start of a large cluster, in small pages of full
 * Nodes, of which only this is kept.
 */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { isNotFound, messageOf } from './api-error.ts';
import type { Client } from './client.ts';
import { type Clock, jittered } from './clock.ts';
import { podCidrsOf } from './state.ts';
import { type KubeObject, parseListPage } from './watchevent.ts';

/** A Node whose podCIDRs are not known. */
export type Wanted = { readonly uid: string; readonly name: string };

export type PodCidrsOptions = {
  readonly client: Client;
  readonly path: string;
  readonly missing: () => readonly Wanted[];
  /** Called for each Node that has them now. */
  readonly found: (uid: string, podCidrs: readonly string[]) => void;
  readonly log: Log;
  readonly clock: Clock;
};

export type PodCidrs = {
  /** Some may be missing; `uid`: this Node has just changed, so it may have them now. */
  readonly mark: (uid?: string) => void;
  readonly close: () => Promise<void>;
};

/** Full Nodes with their images and conditions are 5 to 40 kB each. */
const PAGE = 25;

/** From so many on, pages are cheaper than single questions. */
const MANY = 8;

const AT_ONCE = 4;

/** A Node without podCIDRs is asked again after 1, 2, 4, … seconds; when it changes, after at most 30. */
const pause = (tries: number, maxMs: number): number => Math.min(maxMs, 1_000 * 2 ** Math.min(tries - 1, 20));

type Tries = { readonly count: number; readonly last: number; readonly poked: boolean };

const dueAt = (tries: Tries | undefined): number =>
  tries === undefined ? 0 : tries.last + pause(tries.count, tries.poked ? 30_000 : 300_000);

export function startPodCidrs(options: PodCidrsOptions): PodCidrs {
  const { client, path, missing, found, log, clock } = options;
  const tries = new Map<string, Tries>();
  const stopping = new AbortController();
  const { signal } = stopping;

  const take = (node: KubeObject): void => {
    const { uid } = node.metadata;
    const cidrs = podCidrsOf(node);
    if (typeof uid !== 'string' || cidrs.length === 0 || signal.aborted) return;
    tries.delete(uid);
    found(uid, cidrs);
  };

  const askOne = async ({ uid, name }: Wanted): Promise<void> => {
    try {
      const node = await client.get(`${path}/${name}`, { signal });
      // Another UID is another Node of this name; the watch tells of it.
      if ((node as KubeObject).metadata?.uid === uid) take(node as KubeObject);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };

  const askEach = async (wanted: readonly Wanted[]): Promise<void> => {
    const queue = [...wanted];
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await askOne(next);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  };

  const askPages = async (wanted: ReadonlySet<string>): Promise<void> => {
    let more: string | undefined;
    do {
      const page = parseListPage(await client.get(path, { query: { limit: PAGE, continue: more }, signal }));
      for (const node of page.items) if (wanted.has(node.metadata.uid as string)) take(node);
      more = page.more;
    } while (more !== undefined && !signal.aborted);
  };

  /** From here on only a change that comes after the question counts. */
  const calm = (uid: string): void => {
    const before = tries.get(uid);
    if (before !== undefined) tries.set(uid, { ...before, poked: false });
  };

  const run = async (): Promise<number | undefined> => {
    const now = clock.now();
    const wanted = missing();
    const due = wanted.filter(({ uid }) => dueAt(tries.get(uid)) <= now);
    for (const { uid } of due) calm(uid);
    if (due.length > MANY) await askPages(new Set(due.map(({ uid }) => uid)));
    else await askEach(due);
    const asked = new Set(due.map(({ uid }) => uid));
    const left = missing();
    const counts = new Map(left.map(({ uid }) => [uid, tries.get(uid)]));
    tries.clear();
    for (const [uid, before] of counts) {
      if (asked.has(uid))
        tries.set(uid, { count: (before?.count ?? 0) + 1, last: clock.now(), poked: before?.poked ?? false });
      else if (before !== undefined) tries.set(uid, before);
    }
    const waits = left.map(({ uid }) => dueAt(tries.get(uid)) - clock.now());
    return waits.length > 0 ? Math.max(0, Math.min(...waits)) : undefined;
  };

  const runner = startRunner({
    run,
    onError: error => {
      if (!signal.aborted) log.debug({ error: messageOf(error) }, 'podCIDRs cannot be read; trying again');
    },
    minMs: 50,
    maxMs: 300_000,
    retryMs: 500,
    timers: jittered(clock),
  });

  return {
    mark: uid => {
      const seen = uid === undefined ? undefined : tries.get(uid);
      if (uid !== undefined && seen !== undefined) tries.set(uid, { ...seen, poked: true });
      if (missing().length > 0) runner.mark();
    },
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
