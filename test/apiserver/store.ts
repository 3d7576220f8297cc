/**
 * Versioned objects and a bounded history of their changes. No HTTP. One counter for all
 * resources, as in etcd; a watch that begins before the history has been cut off is told 410.
 */
import { randomUUID } from 'node:crypto';
import { isObject, type Json, type KubeObject, type Meta } from './object.ts';
import { mergePatch } from './patch.ts';
import type { Resource } from './resources.ts';
import { alreadyExists, conflict, invalid, notFound } from './status.ts';

export type Change = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly plural: string;
  readonly version: number;
  readonly object: KubeObject;
  /** Before the change, so that a watch with a selector sees what left it. */
  readonly before: KubeObject | undefined;
};

export type Store = {
  readonly version: () => number;
  /** Changes at or below this version are forgotten. */
  readonly oldest: () => number;
  readonly list: (resource: Resource) => readonly KubeObject[];
  readonly get: (resource: Resource, namespace: string | undefined, name: string) => KubeObject;
  readonly create: (resource: Resource, namespace: string | undefined, object: Json) => KubeObject;
  readonly replace: (
    resource: Resource,
    namespace: string | undefined,
    name: string,
    object: Json,
    part: Part,
  ) => KubeObject;
  readonly patch: (
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: Json,
    part: Part,
  ) => KubeObject;
  readonly remove: (resource: Resource, namespace: string | undefined, name: string) => KubeObject;
  readonly since: (plural: string, version: number) => readonly Change[];
  readonly subscribe: (listener: (change: Change) => void) => () => void;
  /** As after a compaction. */
  readonly forget: () => void;
};

/** What a request may change: the status subresource only the status, the main one all but the status. */
export type Part = 'main' | 'status';

const HISTORY = 2_000;

const checkMaps = (resource: Resource, name: string, metadata: Json): void => {
  for (const field of ['labels', 'annotations'] as const) {
    const map = metadata[field];
    if (map === undefined || map === null) continue;
    if (!isObject(map) || !Object.values(map).every(value => typeof value === 'string'))
      throw invalid(`${resource.kind} "${name}" is invalid: metadata.${field}: values must be strings`);
  }
};

const podCidrs = (object: Json | undefined): string =>
  JSON.stringify((object?.spec as Json | undefined)?.podCIDRs ?? []);

function checkNode(before: KubeObject | undefined, after: Json): void {
  const old = podCidrs(before);
  if (before !== undefined && old !== '[]' && old !== podCidrs(after))
    throw invalid(
      `Node "${before.metadata.name}" is invalid: spec: Forbidden: node updates may not change podCIDR except from "" to valid`,
    );
}

export function newStore(history = HISTORY): Store {
  const objects = new Map<string, KubeObject>();
  const listeners = new Set<(change: Change) => void>();
  let changes: Change[] = [];
  let version = 1_000;
  let oldest = version;

  const key = (resource: Resource, namespace: string | undefined, name: string): string =>
    `${resource.plural}/${resource.namespaced ? (namespace ?? 'default') : ''}/${name}`;

  const publish = (change: Change): void => {
    changes.push(change);
    if (changes.length > history) {
      oldest = changes[changes.length - history - 1]?.version ?? oldest;
      changes = changes.slice(-history);
    }
    for (const listener of listeners) listener(change);
  };

  const get: Store['get'] = (resource, namespace, name) => {
    const object = objects.get(key(resource, namespace, name));
    if (object === undefined) throw notFound(resource.plural, name);
    return object;
  };

  const put = (
    resource: Resource,
    type: Change['type'],
    object: Json,
    meta: Omit<Meta, 'resourceVersion'>,
    before: KubeObject | undefined,
  ): KubeObject => {
    checkMaps(resource, meta.name, object.metadata as Json);
    if (resource.kind === 'Node') checkNode(before, object);
    version += 1;
    const whole = {
      ...object,
      kind: resource.kind,
      apiVersion: resource.apiVersion,
      metadata: { ...(object.metadata as Json), ...meta, resourceVersion: String(version) },
    } as KubeObject;
    objects.set(key(resource, meta.namespace, meta.name), whole);
    publish({ type, plural: resource.plural, version, object: whole, before });
    return whole;
  };

  const create: Store['create'] = (resource, namespace, object) => {
    const given = isObject(object.metadata) ? object.metadata : {};
    const generated =
      typeof given.generateName === 'string' ? `${given.generateName}${randomUUID().slice(0, 5)}` : undefined;
    const name = typeof given.name === 'string' && given.name !== '' ? given.name : generated;
    if (name === undefined)
      throw invalid(
        `${resource.kind} "" is invalid: metadata.name: Required value: name or generateName is required`,
      );
    if (objects.has(key(resource, namespace, name))) throw alreadyExists(resource.plural, name);
    const meta = {
      name,
      ...(resource.namespaced && { namespace: namespace ?? 'default' }),
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    };
    return put(resource, 'ADDED', { ...object, metadata: given }, meta, undefined);
  };

  const write = (resource: Resource, before: KubeObject, wanted: Json, part: Part): KubeObject => {
    const metadata = isObject(wanted.metadata) ? wanted.metadata : {};
    const { name, namespace, uid, creationTimestamp, resourceVersion, generation = 1 } = before.metadata;
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== resourceVersion)
      throw conflict(resource.plural, name);
    const next: Json =
      part === 'status'
        ? { ...before, status: wanted.status }
        : { ...wanted, status: before.status ?? wanted.status, metadata };
    const specChanged = JSON.stringify(next.spec) !== JSON.stringify(before.spec);
    const meta = {
      name,
      ...(namespace !== undefined && { namespace }),
      uid,
      creationTimestamp,
      generation: generation + Number(specChanged),
    };
    const unchanged =
      JSON.stringify({ ...next, metadata: { ...(next.metadata as Json), resourceVersion } }) ===
      JSON.stringify(before);
    return unchanged ? before : put(resource, 'MODIFIED', next, meta, before);
  };

  const remove: Store['remove'] = (resource, namespace, name) => {
    const before = get(resource, namespace, name);
    objects.delete(key(resource, namespace, name));
    version += 1;
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
    publish({ type: 'DELETED', plural: resource.plural, version, object, before });
    return object;
  };

  return {
    version: () => version,
    oldest: () => oldest,
    list: resource =>
      [...objects]
        .filter(([path]) => path.startsWith(`${resource.plural}/`))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, object]) => object),
    get,
    create,
    replace: (resource, namespace, name, object, part) =>
      write(resource, get(resource, namespace, name), object, part),
    patch: (resource, namespace, name, patch, part) => {
      const before = get(resource, namespace, name);
      return write(resource, before, mergePatch(before, patch) as Json, part);
    },
    remove,
    since: (plural, from) => changes.filter(change => change.plural === plural && change.version > from),
    subscribe: listener => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    forget: () => {
      changes = [];
      version += 1;
      oldest = version;
    },
  };
}
