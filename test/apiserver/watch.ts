/** One watch: what has changed since its version, then what changes, with bookmarks in between. */
import type { ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { show, type View } from './negotiate.ts';
import type { KubeObject } from './object.ts';
import type { Matcher } from './selector.ts';
import { gone, statusObject } from './status.ts';
import type { Change, Store } from './store.ts';

export type WatchRequest = {
  readonly plural: string;
  /** Undefined: from now on, after what is there. */
  readonly from: number | undefined;
  readonly existing: readonly KubeObject[];
  readonly matches: Matcher;
  readonly view: View;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number;
};

/** The real server's are about a minute apart; a test that asks for one need not wait for it. */
const BOOKMARK_MS = 5_000;

type Event = { readonly type: string; readonly object: unknown };

/** A change as this watch sees it: what enters its selection is added, what leaves is deleted. */
function toEvent(change: Change, { matches, view }: WatchRequest): Event | undefined {
  const is = change.type !== 'DELETED' && matches(change.object);
  const was = change.before !== undefined && matches(change.before);
  if (!is && !was) return undefined;
  const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED';
  const object = is ? change.object : { ...change.object, ...(change.type !== 'DELETED' && change.before) };
  return { type, object: show(object as KubeObject, view) };
}

const expired = (from: number, oldest: number): Event => ({
  type: 'ERROR',
  object: statusObject(gone(`too old resource version: ${from} (${oldest})`).status),
});

/** Streams until the client goes, the time is over, or `stop` is called. */
export function serveWatch(
  store: Store,
  request: WatchRequest,
  response: ServerResponse,
  faults: () => Faults,
): () => void {
  const kind = request.view === 'whole' ? undefined : 'PartialObjectMetadata';
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();

  const send = (event: Event | undefined): void => {
    if (event === undefined || response.writableEnded) return;
    const line = `${JSON.stringify(event)}\n`;
    if (faults().truncate) response.end(line.slice(0, line.length / 2), () => response.socket?.destroy());
    else response.write(line);
  };
  const bookmark = (): void =>
    send({
      type: 'BOOKMARK',
      object: {
        kind: kind ?? 'Node',
        apiVersion: kind ? 'meta.k8s.io/v1' : 'v1',
        metadata: { resourceVersion: String(store.version()), creationTimestamp: null },
      },
    });

  if ((request.from !== undefined && request.from < store.oldest()) || faults().expireWatch) {
    send(expired(request.from ?? 0, store.oldest()));
    response.end();
    return () => {};
  }
  for (const object of request.existing) send({ type: 'ADDED', object: show(object, request.view) });
  for (const change of request.from === undefined ? [] : store.since(request.plural, request.from))
    send(toEvent(change, request));

  const unsubscribe = store.subscribe(change => {
    if (change.plural === request.plural) send(toEvent(change, request));
  });
  const bookmarks = request.bookmarks ? setInterval(bookmark, BOOKMARK_MS) : undefined;
  const stop = (): void => {
    unsubscribe();
    clearInterval(bookmarks);
    clearTimeout(end);
    if (!response.writableEnded) response.end();
  };
  const end = setTimeout(() => {
    if (request.bookmarks) bookmark();
    stop();
  }, request.timeoutSeconds * 1_000);
  response.on('close', stop);
  return stop;
}
