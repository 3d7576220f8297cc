/** One watch: what has changed since its version, then what changes, with bookmarks in between. */
import type { ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import type { Change } from './history.ts';
import { show, type View } from './negotiate.ts';
import type { KubeObject } from './object.ts';
import type { WatchOptions } from './options.ts';
import type { Resource } from './resources.ts';
import { gone, statusObject } from './status.ts';
import type { Store } from './store.ts';

export type WatchRequest = WatchOptions & {
  readonly resource: Resource;
  readonly view: View;
  /** Between bookmarks; the real server's are a minute apart. */
  readonly bookmarkMs: number;
};

/** The last bookmark comes this long before the end. */
const BEFORE_END_MS = 2_000;

/** The real server ends every watch, asked or not, after 30 to 60 minutes. */
const defaultSeconds = (): number => 1_800 * (1 + Math.random());

/** A reader that is so far behind is cut off, as the real server does. */
const MAX_UNREAD = 64 << 20;

/** One object goes to many watches: it is written once. */
const texts = { whole: new WeakMap<KubeObject, string>(), metadata: new WeakMap<KubeObject, string>() };

function textOf(object: KubeObject, view: View): string {
  const known = texts[view].get(object);
  if (known !== undefined) return known;
  const text = JSON.stringify(show(object, view));
  texts[view].set(object, text);
  return text;
}

const line = (type: string, object: string): string => `{"type":"${type}","object":${object}}\n`;

/** What left a selection is shown as it was when it was in it, with the version of its leaving. */
const asLeft = (before: KubeObject, after: KubeObject): KubeObject => ({
  ...before,
  metadata: { ...before.metadata, resourceVersion: after.metadata.resourceVersion },
});

/** A change as a watch sees it: what enters its selection is added, what leaves is deleted. */
function lineOf(change: Change, { matches, view }: WatchRequest): string | undefined {
  const { type, object, before } = change;
  const is = type !== 'DELETED' && matches(object);
  const was = before !== undefined && matches(before);
  if (is) return line(was ? 'MODIFIED' : 'ADDED', textOf(object, view));
  if (!was) return undefined;
  return line('DELETED', textOf(type === 'DELETED' ? object : asLeft(before, object), view));
}

function bookmarkLine({ resource, view }: WatchRequest, version: number, initialEnd: boolean): string {
  const annotations = initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const kind =
    view === 'whole'
      ? { kind: resource.kind, apiVersion: resource.apiVersion }
      : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' };
  const object = { ...kind, metadata: { resourceVersion: String(version), ...annotations } };
  return line('BOOKMARK', JSON.stringify(object));
}

const expiredLine = (from: number, oldest: number): string =>
  line('ERROR', JSON.stringify(statusObject(gone(`too old resource version: ${from} (${oldest})`).status)));

/** Writes lines as the troubles of the moment have it. */
function writer(response: ServerResponse, faults: () => Faults): (text: string) => void {
  return text => {
    if (response.writableEnded || response.destroyed) return;
    const { truncate, garble, silentWatch } = faults();
    if (silentWatch) return;
    if (truncate) response.write(text.slice(0, text.length / 2), () => response.socket?.destroy());
    else response.write(garble ? `<html>${text.length}</html>\n` : text);
    if (response.writableLength > MAX_UNREAD) response.destroy();
  };
}

/** What comes before anything new. */
function* past(store: Store, request: WatchRequest): Generator<string> {
  const { resource, version, matches, view, initial, bookmarks } = request;
  if (version !== undefined && !initial) {
    for (const change of store.since(resource.plural, version)) {
      const text = lineOf(change, request);
      if (text !== undefined) yield text;
    }
    return;
  }
  for (const object of store.list(resource)) if (matches(object)) yield line('ADDED', textOf(object, view));
  if (bookmarks) yield bookmarkLine(request, store.version(), true);
}

/** Streams until the client goes, the time is over, or what it returns is called. */
export function serveWatch(
  store: Store,
  request: WatchRequest,
  response: ServerResponse,
  faults: () => Faults,
): () => void {
  const { resource, version, initial, bookmarks, bookmarkMs } = request;
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  const write = writer(response, faults);

  if (faults().expireWatch || (version !== undefined && !initial && version < store.oldest())) {
    write(expiredLine(version ?? 0, store.oldest()));
    response.end();
    return () => {};
  }
  for (const text of past(store, request)) write(text);

  const unsubscribe = store.subscribe(change => {
    // One who asks from the future hears of it when it is there.
    if (change.plural !== resource.plural || change.version <= (version ?? 0)) return;
    const text = lineOf(change, request);
    if (text !== undefined) write(text);
  });
  const bookmark = (): void => {
    if (bookmarks && store.version() >= (version ?? 0)) write(bookmarkLine(request, store.version(), false));
  };
  const timers: NodeJS.Timeout[] = [];
  const stop = (): void => {
    unsubscribe();
    for (const timer of timers) clearTimeout(timer);
    if (!response.writableEnded) response.end();
  };
  const lifeMs = (request.timeoutSeconds ?? defaultSeconds()) * 1_000;
  timers.push(setInterval(bookmark, bookmarkMs), setTimeout(stop, lifeMs));
  if (lifeMs > BEFORE_END_MS) timers.push(setTimeout(bookmark, lifeMs - BEFORE_END_MS));
  response.on('close', stop);
  return stop;
}
