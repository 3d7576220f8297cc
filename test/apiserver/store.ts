/**
 * Versioned objects and a bounded history of their changes. No HTTP. One counter for all
 * resources, as in etcd; a watch that begins before the history has been cut off is told 410.
 * Tests may use it directly: what they do is seen by every watch.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { withDefaults } from './defaults.ts';
import { type Change, newHistory, undone } from './history.ts';
import { isObject, type Json, type KubeObject, type Meta, part, pathOf, timestamp, word } from './object.ts';
import { mergePatch } from './patch.ts';
import type { Resource } from './resources.ts';
import { alreadyExists, conflict, invalid, notFound } from './status.ts';
import { objectErrors } from './validate.ts';

/** What a request may change: the status subresource only the status, the main one all but the status. */
export type Part = 'main' | 'status';

type Namespace = string | undefined;

/** All verbs throw ApiFailure as the server would answer. */
export type Store = {
  readonly version: () => number;
  /** Changes at or below this version are forgotten. */
  readonly oldest: () => number;
  /** Sorted by namespace and name; as it was at a version that is not forgotten. */
  readonly list: (resource: Resource, at?: number) => readonly KubeObject[];
  readonly get: (resource: Resource, namespace: Namespace, name: string) => KubeObject;
  readonly create: (resource: Resource, namespace: Namespace, object: Json) => KubeObject;
  readonly replace: (
    resource: Resource,
    namespace: Namespace,
    name: string,
    object: Json,
    part: Part,
  ) => KubeObject;
  /** A merge patch. */
  readonly patch: (
    resource: Resource,
    namespace: Namespace,
    name: string,
    patch: Json,
    part: Part,
  ) => KubeObject;
  /** Marks as to be deleted within `seconds`; a kubelet would end it and remove it then. */
  readonly retire: (resource: Resource, namespace: Namespace, name: string, seconds: number) => KubeObject;
  /** At once. */
  readonly remove: (resource: Resource, namespace: Namespace, name: string) => KubeObject;
  readonly since: (plural: string, version: number) => readonly Change[];
  readonly subscribe: (listener: (change: Change) => void) => () => void;
  /** As after a compaction. */
  readonly forget: () => void;
};

const HISTORY = 2_000;

/** Letters and digits that make no words. */
const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789';

const generated = (prefix: string): string =>
  `${prefix}${Array.from({ length: 5 }, () => SUFFIX[randomInt(SUFFIX.length)]).join('')}`;

/** Metadata that a request may write; the rest is the server's. */
const WRITABLE = [
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'managedFields',
  'generateName',
] as const;

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

const writable = (metadata: Json): Json =>
  Object.fromEntries(
    WRITABLE.filter(field => !isEmpty(metadata[field])).map(field => [field, metadata[field]]),
  );

/** A request that says nothing of it agrees with everything. */
const differs = (wanted: unknown, is: string): boolean =>
  wanted !== undefined && wanted !== null && wanted !== '' && wanted !== is;

/** What of `wanted` is written over `before`. */
function merged(resource: Resource, before: KubeObject, wanted: Json, which: Part): Json {
  const metadata = writable(part(wanted, 'metadata'));
  const { status: _, ...main } = wanted;
  if (which === 'status') return { ...before, metadata, status: wanted.status };
  return { ...(resource.status ? { ...main, status: before.status } : wanted), metadata };
}

/** Of the server's own metadata, with the generation that follows. */
function serverMeta(resource: Resource, before: KubeObject, after: Json): Omit<Meta, 'resourceVersion'> {
  const { resourceVersion: _, ...metadata } = before.metadata;
  const own = Object.entries(metadata).filter(([key]) => !(WRITABLE as readonly string[]).includes(key));
  const changed = resource.counted && !isDeepStrictEqual(after.spec, before.spec);
  return {
    ...(Object.fromEntries(own) as Omit<Meta, 'resourceVersion'>),
    ...(metadata.generation !== undefined && { generation: metadata.generation + Number(changed) }),
  };
}

/** Objects of one resource, and their order. */
type Table = { readonly objects: Map<string, KubeObject>; sorted: readonly KubeObject[] | undefined };

const byPath = (objects: ReadonlyMap<string, KubeObject>): readonly KubeObject[] =>
  [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);

export function newStore(limit = HISTORY): Store {
  const tables = new Map<string, Table>();
  const listeners = new Set<(change: Change) => void>();
  let version = 1_000;
  const history = newHistory(limit, version);

  const tableOf = (plural: string): Table => {
    const table = tables.get(plural) ?? { objects: new Map<string, KubeObject>(), sorted: undefined };
    tables.set(plural, table);
    return table;
  };

  const key = (resource: Resource, namespace: Namespace, name: string): string =>
    resource.namespaced ? `${namespace ?? 'default'}/${name}` : name;

  const find = (resource: Resource, namespace: Namespace, name: string): KubeObject | undefined =>
    tableOf(resource.plural).objects.get(key(resource, namespace, name));

  const get: Store['get'] = (resource, namespace, name) => {
    const object = find(resource, namespace, name);
    if (object === undefined) throw notFound(resource, name);
    return object;
  };

  const publish = (
    type: Change['type'],
    resource: Resource,
    object: KubeObject,
    before: KubeObject | undefined,
  ): KubeObject => {
    const table = tableOf(resource.plural);
    if (type === 'DELETED') table.objects.delete(pathOf(object));
    else table.objects.set(pathOf(object), object);
    table.sorted = undefined;
    const change = { type, plural: resource.plural, version, object, before };
    history.add(change);
    for (const listener of listeners) listener(change);
    return object;
  };

  const whole = (resource: Resource, object: Json, meta: Omit<Meta, 'resourceVersion'>): KubeObject => ({
    ...object,
    kind: resource.kind,
    apiVersion: resource.apiVersion,
    metadata: { ...part(object, 'metadata'), ...meta, resourceVersion: String(version) },
  });

  const put = (
    type: 'ADDED' | 'MODIFIED',
    resource: Resource,
    object: Json,
    meta: Omit<Meta, 'resourceVersion'>,
    before: KubeObject | undefined,
  ): KubeObject => {
    const errors = objectErrors(resource, whole(resource, object, meta), before);
    if (errors.length > 0) throw invalid(resource, meta.name, errors);
    version += 1;
    return publish(type, resource, whole(resource, object, meta), before);
  };

  const create: Store['create'] = (resource, namespace, given) => {
    const object = structuredClone(given);
    const metadata = isObject(object.metadata) ? object.metadata : {};
    const prefix = word(metadata.generateName);
    const name = word(metadata.name) || (prefix && generated(prefix));
    if (find(resource, namespace, name) !== undefined) throw alreadyExists(resource, name);
    const meta = {
      name,
      ...(resource.namespaced && { namespace: namespace ?? 'default' }),
      uid: randomUUID(),
      ...(resource.counted && { generation: 1 }),
      creationTimestamp: timestamp(),
    };
    const named = { ...object, metadata: { ...writable(metadata), name } };
    return put('ADDED', resource, withDefaults(resource, named), meta, undefined);
  };

  const write = (resource: Resource, before: KubeObject, wanted: Json, which: Part): KubeObject => {
    const { name, uid, resourceVersion } = before.metadata;
    const metadata = part(wanted, 'metadata');
    if (differs(metadata.resourceVersion, resourceVersion)) throw conflict(resource, name);
    if (differs(metadata.uid, uid))
      throw conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${word(metadata.uid)}, UID in object meta: ${uid}`,
      );
    const next = merged(resource, before, structuredClone(wanted), which);
    const meta = serverMeta(resource, before, next);
    const same = isDeepStrictEqual(whole(resource, next, meta), whole(resource, before, meta));
    return same ? before : put('MODIFIED', resource, next, meta, before);
  };

  return {
    version: () => version,
    oldest: history.oldest,
    list: (resource, at = version) => {
      const table = tableOf(resource.plural);
      const later = at < version ? history.since(resource.plural, at) : [];
      if (later.length > 0) return byPath(undone(table.objects, later, pathOf));
      table.sorted ??= byPath(table.objects);
      return table.sorted;
    },
    get,
    create,
    replace: (resource, namespace, name, object, which) =>
      write(resource, get(resource, namespace, name), object, which),
    patch: (resource, namespace, name, patch, which) => {
      const before = get(resource, namespace, name);
      return write(resource, before, mergePatch(before, patch) as Json, which);
    },
    retire: (resource, namespace, name, seconds) => {
      const before = get(resource, namespace, name);
      const { generation, ...metadata } = before.metadata;
      return put(
        'MODIFIED',
        resource,
        before,
        {
          ...metadata,
          ...(generation !== undefined && { generation: generation + 1 }),
          deletionTimestamp: timestamp(Date.now() + seconds * 1_000),
          deletionGracePeriodSeconds: seconds,
        },
        before,
      );
    },
    remove: (resource, namespace, name) => {
      const before = get(resource, namespace, name);
      version += 1;
      return publish('DELETED', resource, whole(resource, before, before.metadata), before);
    },
    since: history.since,
    subscribe: listener => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    forget: () => {
      version += 1;
      history.forget(version);
    },
  };
}
