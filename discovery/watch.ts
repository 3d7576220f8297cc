/**
 * All objects of one kind, kept up to date: list in pages, then watch from the list's version,
 * and again from the last version whenever the connection ends. Only metadata is asked for, where it is enough.
 *
 *   list ──► watch ──closed, silent, cut──► watch from the last version
 *     ▲        └──410, malformed──────────► list
 *     └── after every error a pause that grows from 0.5 to 15 s, or what Retry-After says
 */
import type { Log } from '../agent/log.ts';
import { ApiError, isExpired, isForbidden, isMalformed, messageOf, retryAfter } from './api-error.ts';
import type { Client } from './client.ts';
import { type BackoffLimits, backoff, type Clock, sleep } from './clock.ts';
import { judgeList } from './guard.ts';
import { limited } from './limited.ts';
import { readLines } from './lines.ts';
import type { WatchState } from './types.ts';
import { type KubeObject, parseListPage, parseWatchLine } from './watchevent.ts';

const METADATA = {
  list: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json',
  watch: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json',
} as const;
const WHOLE = { list: 'application/json', watch: 'application/json' } as const;

/** A watch that ends before this is an error, whatever it said: else a server could keep us in a circle. */
const AT_ONCE_MS = 1_000;

/** One that has lived so long shows that the server is well: the pauses begin anew. */
const STABLE_MS = 10_000;

export type WatchLimits = {
  /** Objects of one list page: 500 at once cost 17 MB more at 1,000 Nodes than 100, and save no time. */
  readonly pageSize: number;
  /** A server answers a watch at once, before it has anything to say. */
  readonly headersMs: number;
  /** Bookmarks come every minute; longer silence than this is a dead connection. */
  readonly silenceMs: number;
  /** Seconds after which the server is asked to end the watch, and as much again by chance. */
  readonly lifeSeconds: number;
  readonly backoff: BackoffLimits;
  /** A list that takes many objects away is believed when another one, this much later, says the same. */
  readonly confirmMs: number;
  /** Characters of one watch line. */
  readonly maxLine: number;
};

export const WATCH_LIMITS: WatchLimits = {
  pageSize: 200,
  headersMs: 30_000,
  silenceMs: 90_000,
  lifeSeconds: 300,
  backoff: { firstMs: 500, maxMs: 15_000 },
  confirmMs: 10_000,
  maxLine: 8 * 2 ** 20,
};

/** What is learnt. `T` is what the caller keeps of an object; the objects themselves are let go. */
export type WatchHandlers<T> = {
  /** Undefined: of no use. Called for every object of a list and of the watch. */
  readonly read: (object: KubeObject) => T | undefined;
  /** Ids that are known, from disk too: what a list that lacks many of them is judged by. */
  readonly known: () => ReadonlySet<string>;
  readonly idOf: (item: T) => string;
  /** `whole`: what is not in it is gone. */
  readonly listed: (items: readonly T[], whole: boolean) => void;
  readonly changed: (item: T) => void;
  readonly deleted: (item: T) => void;
  /** The state has changed. */
  readonly state: (state: WatchState) => void;
};

/** What is watched, and how it is spoken of. */
export type WatchKind = {
  /** `Nodes`. */
  readonly noun: string;
  /** What goes on while it cannot be watched. */
  readonly meanwhile: string;
  /** Whole objects; metadata alone unless given. */
  readonly whole?: boolean;
  /** `spec.nodeName=a`. */
  readonly fieldSelector?: string;
};

const NODES: WatchKind = { noun: 'Nodes', meanwhile: 'the tunnels stay' };

export type WatchOptions<T> = {
  readonly client: Client;
  /** The API server says no, each time that it is asked: what cannot be watched, what follows, and the cure. */
  readonly forbidden?: (sentence: string) => void;
  /** `/api/v1/nodes`. */
  readonly path: string;
  /** Nodes unless given. */
  readonly kind?: WatchKind;
  readonly handlers: WatchHandlers<T>;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: WatchLimits;
};

export type Watch = {
  readonly state: () => WatchState;
  /** Of the last list, event or bookmark: all that the server had up to here is known. */
  readonly version: () => string | undefined;
  /** Resolves when nothing is called any more. */
  readonly close: () => Promise<void>;
};

/** How far we are, between one connection and the next. */
type Progress = {
  /** Watch from here; undefined: list first. */
  version: string | undefined;
  /** A list took many objects away: list again at this time. */
  relistAt: number | undefined;
  heldSince: number | undefined;
  failures: number;
  /** The last failure was an expired version. */
  expired: boolean;
};

/** Reads all pages, one after the other; a page's objects are gone before the next one comes. */
async function listAll<T>(options: WatchOptions<T>, limits: WatchLimits, signal: AbortSignal) {
  const { client, path, handlers, kind = NODES } = options;
  const accept = (kind.whole ? WHOLE : METADATA).list;
  const items: T[] = [];
  let more: string | undefined;
  for (;;) {
    const query = { fieldSelector: kind.fieldSelector, limit: limits.pageSize, continue: more };
    const page = parseListPage(await client.get(path, { query, accept, signal }));
    for (const object of page.items) {
      const item = handlers.read(object);
      if (item !== undefined) items.push(item);
    }
    if (page.more === undefined) return { items, version: page.version };
    more = page.more;
  }
}

/** A server restored from a backup counts from an older version: what it lacks would never be said. */
function refuseOlder(version: string | undefined, before: string | undefined): void {
  if (!/^\d+$/.test(version ?? '') || !/^\d+$/.test(before ?? '')) return;
  if (BigInt(version as string) < BigInt(before as string))
    throw new ApiError(`the API server went back from version ${before} to ${version}`, {
      reason: 'Expired',
    });
}

/** The same words each time, so that an Event of them is posted once. */
const forbiddenText = ({ noun, meanwhile }: WatchKind, path: string): string =>
  `The API server does not let weft list or watch ${noun} (${path}): ${meanwhile}, and what changes is not learnt. Apply weft’s manifests again: their ClusterRole weft and its binding grant it`;

/** Starts at once and never gives up. */
export function startWatch<T>(options: WatchOptions<T>): Watch {
  const { client, path, handlers, log, clock, kind = NODES } = options;
  const limits = options.limits ?? WATCH_LIMITS;
  const stopping = new AbortController();
  const { signal } = stopping;
  const progress: Progress = {
    version: undefined,
    relistAt: undefined,
    heldSince: undefined,
    failures: 0,
    expired: false,
  };
  let state: WatchState = { synced: false, connected: false, error: undefined, restarts: 0 };

  const setState = (change: Partial<WatchState>): void => {
    const next = { ...state, ...change };
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    if (!signal.aborted) handlers.state(state);
  };

  const hold = (gone: number, count: number, ms: number): void =>
    log.warn(
      { listed: count, missing: gone },
      `the API server's list lacks ${gone} known ${kind.noun}, more than half: they stay until a second list in ${Math.ceil(ms / 1_000)} s says the same`,
    );

  const list = async (): Promise<void> => {
    const { items, version } = await listAll(options, limits, signal);
    if (signal.aborted) return;
    const now = clock.now();
    const verdict = judgeList(
      handlers.known(),
      new Set(items.map(handlers.idOf)),
      progress.heldSince,
      now,
      limits.confirmMs,
    );
    if (verdict.kind === 'hold') hold(verdict.gone, items.length, verdict.ms);
    progress.heldSince = verdict.kind === 'hold' ? verdict.since : undefined;
    progress.relistAt = verdict.kind === 'hold' ? now + verdict.ms : undefined;
    progress.version = version;
    handlers.listed(items, verdict.kind === 'accept');
    setState({ synced: true, connected: true, error: undefined });
  };

  const take = (line: string): void => {
    const event = parseWatchLine(line);
    refuseOlder(event.version, progress.version);
    progress.version = event.version ?? progress.version;
    if (event.kind === 'bookmark') return;
    const item = handlers.read(event.object);
    if (item === undefined) return;
    if (event.kind === 'changed') handlers.changed(item);
    else handlers.deleted(item);
  };

  const watch = async (version: string): Promise<void> => {
    const query = {
      fieldSelector: kind.fieldSelector,
      watch: 'true',
      resourceVersion: version,
      allowWatchBookmarks: 'true',
      timeoutSeconds: Math.ceil(limits.lifeSeconds * (1 + clock.random())),
    };
    const stream = await client.stream(path, {
      query,
      accept: (kind.whole ? WHOLE : METADATA).watch,
      signal,
      headersMs: limits.headersMs,
    });
    setState({ connected: true, error: undefined });
    const opened = clock.now();
    const life = progress.relistAt === undefined ? undefined : progress.relistAt - opened;
    let lines = 0;
    try {
      for await (const line of readLines(limited(stream, limits.silenceMs, life), limits.maxLine)) {
        if (signal.aborted) return;
        take(line);
        lines += 1;
      }
    } finally {
      const lived = clock.now() - opened;
      if (lived > STABLE_MS || (lines > 0 && lived > AT_ONCE_MS))
        Object.assign(progress, { failures: 0, expired: false });
    }
    if (clock.now() - opened < AT_ONCE_MS)
      throw new ApiError('the API server closed the watch at once', { reason: 'Closed' });
  };

  const step = async (): Promise<void> => {
    const due = progress.relistAt !== undefined && clock.now() >= progress.relistAt;
    if (progress.version === undefined || due) return list();
    return watch(progress.version).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.reason === 'Relist')) throw error;
    });
  };

  const fail = async (error: unknown): Promise<void> => {
    const expired = isExpired(error);
    if (expired || isMalformed(error)) progress.version = undefined;
    if (isForbidden(error)) options.forbidden?.(forbiddenText(kind, path));
    progress.failures += 1;
    setState({ connected: false, error: messageOf(error), restarts: state.restarts + 1 });
    const pause = backoff(progress.failures, limits.backoff, clock.random());
    // A server that knows our version no longer is well, so the first list comes at once.
    const ms = expired && !progress.expired ? 0 : Math.max(retryAfter(error) ?? 0, pause);
    progress.expired = expired;
    // The first one is everyday life: a rollout, a proxy's idle limit.
    log[progress.failures === 2 ? 'warn' : 'debug'](
      { error: messageOf(error), pauseMs: Math.round(ms) },
      `${kind.noun} cannot be watched; trying again, ${kind.meanwhile}`,
    );
    await sleep(clock, ms, signal);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await step();
      } catch (error) {
        if (!signal.aborted) await fail(error);
      }
    }
  };

  const running = run();
  return {
    state: () => state,
    version: () => progress.version,
    close: async () => {
      stopping.abort();
      await running;
    },
  };
}
