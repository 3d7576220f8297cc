/**
 * What policies are made of: NetworkPolicies and this node's own pods always, all other pods and
 * the namespaces only while there is a policy, since in a large cluster they are most of the news.
 * Each object is parsed to the few fields that count, and the rest is let go.
 */
import type { Log } from '../agent/log.ts';
import type { Namespace, Pod, Policy } from '../policy/types.ts';
import type { Client } from './client.ts';
import type { Clock } from './clock.ts';
import { type Kept, openObjects, type Reader } from './objects.ts';
import { type OwnPod, readNamespace, readOwnPod, readPod, readPolicy } from './readers.ts';
import type { Remembered, Sources } from './remembered.ts';
import type { WatchState } from './types.ts';
import { startWatch, WATCH_LIMITS, type Watch, type WatchKind, type WatchLimits } from './watch.ts';
import type { KubeObject } from './watchevent.ts';

const NETWORKPOLICIES = '/apis/networking.k8s.io/v1/networkpolicies';
const NAMESPACES = '/api/v1/namespaces';
const PODS = '/api/v1/pods';

/** Pods are whole objects of 5 to 20 kB, of which little is kept. */
const PAGE = 100;

/** The last policy may come back at once, as in a rollout that deletes and creates. */
const LINGER_MS = 30_000;

/** A first policy waits so long for pods and namespaces, and then holds without them. */
const PATIENCE_MS = 3_000;

export type ClusterObjects = {
  readonly policies: readonly Policy[];
  readonly namespaces: readonly Namespace[];
  /** Of this node. */
  readonly ownPods: readonly OwnPod[];
  /** Of all others, scheduled and not ended; empty while there is no policy. */
  readonly otherPods: readonly Pod[];
};

export type ClusterOptions = {
  readonly client: Client;
  readonly nodeName: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: WatchLimits;
  /** What was known in an earlier life. */
  readonly initial: Remembered | undefined;
  /** Something that `objects` returns has changed, or what is known. Called often; must be cheap. */
  readonly onChange: () => void;
  /** What the API server does not let us read, with the cure. Called again and again. */
  readonly forbidden?: (sentence: string) => void;
};

/** `version`: what the server had up to here is known. */
export type WatchReport = WatchState & { readonly count: number; readonly version: string | undefined };

export type Cluster = {
  /** The lists are the same arrays until something changes, and what is in them too. */
  readonly objects: () => ClusterObjects;
  /** All of it as it goes to disk. */
  readonly sources: () => Sources;
  /** Enough is known to act on: from the API server, or from an earlier life. */
  readonly known: () => boolean;
  /** All that counts now has been listed by the API server since the start. */
  readonly synced: () => boolean;
  readonly report: () => Readonly<Record<string, WatchReport>>;
  readonly close: () => Promise<void>;
};

type Part<T> = {
  readonly all: () => readonly T[];
  readonly sources: () => readonly string[];
  readonly start: () => void;
  /** Ends the watch; what it told of stays. */
  readonly stop: () => Promise<void>;
  /** Ends the watch and lets everything go. */
  readonly forget: () => void;
  readonly synced: () => boolean;
  readonly report: () => WatchReport;
};

type Shared = {
  readonly client: Client;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits: WatchLimits;
  readonly onChange: () => void;
  readonly forbidden?: (sentence: string) => void;
};

const AWAY: WatchState = { synced: false, connected: false, error: undefined, restarts: 0 };

/** One kind of object, watched or not. */
function openPart<T>(
  shared: Shared,
  path: string,
  kind: WatchKind,
  reader: Reader<T>,
  initial: readonly Kept<T>[] = [],
): Part<T> {
  const { onChange, ...rest } = shared;
  const objects = openObjects(initial);
  let watch: Watch | undefined;
  let closing: Promise<void> = Promise.resolve();

  const tell = (really: boolean): void => {
    if (really) onChange();
  };
  const read = (object: KubeObject): Kept<T> | undefined => {
    const item = reader(object);
    if (!('error' in item)) return item;
    shared.log.warn({ error: item.error }, 'an object of the API server is left out');
    return undefined;
  };
  const start = (): void => {
    watch ??= startWatch<Kept<T>>({
      ...rest,
      path,
      kind,
      handlers: {
        read,
        known: objects.ids,
        idOf: item => item.id,
        listed: (items, whole) => tell(objects.list(items, whole)),
        changed: item => tell(objects.put(item)),
        deleted: item => tell(objects.remove(item.id)),
        state: onChange,
      },
    });
  };
  const stop = (): Promise<void> => {
    const ending = watch;
    watch = undefined;
    if (ending !== undefined) closing = Promise.all([closing, ending.close()]).then(() => {});
    return closing;
  };
  return {
    all: objects.all,
    sources: objects.sources,
    start,
    stop,
    forget: () => {
      void stop();
      tell(objects.clear());
    },
    synced: () => watch?.state().synced ?? false,
    report: () => ({ ...(watch?.state() ?? AWAY), count: objects.all().length, version: watch?.version() }),
  };
}

const meanwhile = 'the policies that are known stay in force';

/** Starts at once with what was known before. */
export function startCluster(options: ClusterOptions): Cluster {
  const { client, nodeName, log, clock, initial, onChange } = options;
  const limits = { ...(options.limits ?? WATCH_LIMITS) };
  const shared: Shared = {
    client,
    log,
    clock,
    limits: { ...limits, pageSize: Math.min(PAGE, limits.pageSize) },
    onChange: () => changed(),
    ...(options.forbidden && { forbidden: options.forbidden }),
  };
  const policies = openPart<Policy>(
    shared,
    NETWORKPOLICIES,
    { noun: 'NetworkPolicies', meanwhile, whole: true },
    readPolicy,
    initial?.policies,
  );
  const ownPods = openPart<OwnPod>(
    shared,
    PODS,
    { noun: 'Pods of this node', meanwhile, whole: true, fieldSelector: `spec.nodeName=${nodeName}` },
    readOwnPod,
    initial?.ownPods,
  );
  const otherPods = openPart<Pod>(
    shared,
    PODS,
    {
      noun: 'Pods',
      meanwhile,
      whole: true,
      fieldSelector: `spec.nodeName!=${nodeName},spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed`,
    },
    readPod,
    initial?.otherPods,
  );
  const namespaces = openPart<Namespace>(
    shared,
    NAMESPACES,
    { noun: 'Namespaces', meanwhile },
    readNamespace,
    initial?.namespaces,
  );

  let wide = false;
  /** The pods and namespaces are those of an earlier life, as long as nothing better is known. */
  let remembered = (initial?.policies.length ?? 0) > 0;
  let waitingSince: number | undefined;
  let cancelLinger: (() => void) | undefined;
  let cancelPatience: (() => void) | undefined;
  let closed = false;

  const widen = (): void => {
    cancelLinger?.();
    cancelLinger = undefined;
    if (wide) return;
    wide = true;
    waitingSince = clock.now();
    cancelPatience = clock.set(PATIENCE_MS, onChange);
    otherPods.start();
    namespaces.start();
  };
  const narrow = (): void => {
    cancelLinger = undefined;
    wide = false;
    remembered = false;
    cancelPatience?.();
    otherPods.forget();
    namespaces.forget();
  };
  function changed(): void {
    if (closed) return;
    if (policies.all().length > 0) widen();
    else if (wide) cancelLinger ??= clock.set(LINGER_MS, narrow);
    onChange();
  }

  const wideListed = (): boolean => !wide || (otherPods.synced() && namespaces.synced());
  const waited = (): boolean => waitingSince !== undefined && clock.now() - waitingSince >= PATIENCE_MS;

  policies.start();
  ownPods.start();
  if (policies.all().length > 0) widen();

  return {
    objects: () => ({
      policies: policies.all(),
      namespaces: namespaces.all(),
      ownPods: ownPods.all(),
      otherPods: otherPods.all(),
    }),
    sources: () => ({
      policies: policies.sources(),
      namespaces: namespaces.sources(),
      ownPods: ownPods.sources(),
      otherPods: otherPods.sources(),
    }),
    known: () =>
      (initial !== undefined || (policies.synced() && ownPods.synced())) &&
      (wideListed() || remembered || waited()),
    synced: () => policies.synced() && ownPods.synced() && wideListed(),
    report: () => ({
      networkpolicies: policies.report(),
      ownPods: ownPods.report(),
      ...(wide && { otherPods: otherPods.report(), namespaces: namespaces.report() }),
    }),
    close: async () => {
      closed = true;
      cancelLinger?.();
      cancelPatience?.();
      await Promise.all([policies, ownPods, otherPods, namespaces].map(part => part.stop()));
    },
  };
}
