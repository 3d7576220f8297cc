/** Bodies of requests as objects, and what is refused before the store sees them. */
import type { IncomingMessage } from 'node:http';
import { wrongType } from './decode.ts';
import { toCore } from './events.ts';
import { isObject, type Json, type KubeObject, part, word } from './object.ts';
import { mergePatch } from './patch.ts';
import { EVENTS, GROUP_EVENTS, NAMESPACES, PODS, type Resource, type Target } from './resources.ts';
import { ApiFailure, badRequest, conflict, failure, invalid, invalidPatch } from './status.ts';
import type { Part, Store } from './store.ts';

const MAX_BODY = 3 << 20;

const MERGE = 'application/merge-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw failure(413, `Request entity too large: limit is ${MAX_BODY}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

const contentType = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';

function parse(text: string, refuse: (why: string) => ApiFailure): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : 'no JSON');
  }
  if (isObject(value)) return value;
  throw refuse(`json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into an object`);
}

const media = (accepted: string): ApiFailure =>
  failure(
    415,
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
  );

/** The whole object that a POST or a PUT brings. */
async function objectOf(request: IncomingMessage, { kind, apiVersion, ...rest }: Resource): Promise<Json> {
  if (contentType(request) !== 'application/json') throw media('application/json');
  const refuse = (why: string) =>
    badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
  const object = parse(await bodyOf(request), refuse);
  const other = (object.kind ?? kind) !== kind || (object.apiVersion ?? apiVersion) !== apiVersion;
  if (other)
    throw badRequest(
      `the API version in the data (${word(object.apiVersion)}) does not match the expected API version (${apiVersion}), or the kind (${word(object.kind)}) is not ${kind}`,
    );
  const wrong = wrongType({ kind, apiVersion, ...rest }, object);
  if (wrong !== undefined)
    throw badRequest(`${kind} in version "${apiVersion}" cannot be handled as a ${kind}: ${wrong}`);
  return object;
}

/** Where a resource is kept: its own place, but for the second spelling of Events. */
export const keptAs = (resource: Resource): Resource => (resource === GROUP_EVENTS ? EVENTS : resource);

const spelled = (resource: Resource, object: Json): Json =>
  resource === GROUP_EVENTS ? toCore(object) : object;

function checkPlace({ namespace, name }: Target, object: Json): void {
  const metadata = part(object, 'metadata');
  if (namespace !== undefined && (metadata.namespace ?? namespace) !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (name !== undefined && metadata.name !== name)
    throw badRequest(
      `the name of the object (${word(metadata.name)}) does not match the name on the URL (${name})`,
    );
}

export async function create(store: Store, target: Target, request: IncomingMessage): Promise<KubeObject> {
  const { resource, namespace } = target;
  const object = await objectOf(request, resource);
  checkPlace({ ...target, name: undefined }, object);
  if (part(object, 'metadata').resourceVersion)
    throw new ApiFailure({
      code: 500,
      message: 'resourceVersion should not be set on objects to be created',
    });
  if (namespace !== undefined) store.get(NAMESPACES, undefined, namespace);
  const { status: _, ...fresh } = object;
  // A new Pod has no status, whatever its author thinks.
  return store.create(keptAs(resource), namespace, spelled(resource, resource === PODS ? fresh : object));
}

export async function replace(
  store: Store,
  target: Target,
  request: IncomingMessage,
  which: Part,
): Promise<KubeObject> {
  const { resource, namespace, name = '' } = target;
  const object = await objectOf(request, resource);
  checkPlace(target, object);
  return store.replace(keptAs(resource), namespace, name, spelled(resource, object), which);
}

const hasList = (value: unknown): boolean =>
  Array.isArray(value) || (isObject(value) && Object.values(value).some(hasList));

async function patchOf(
  request: IncomingMessage,
): Promise<{ readonly patch: Json; readonly strategic: boolean }> {
  const type = contentType(request);
  if (type !== MERGE && type !== STRATEGIC) throw media(MERGE);
  const patch = parse(await bodyOf(request), why => badRequest(`error decoding patch: ${why}`));
  // Without lists and directives a strategic merge is a merge.
  if (type === STRATEGIC && (hasList(withConditions(patch, [])) || JSON.stringify(patch).includes('"$')))
    throw failure(
      415,
      'this small server merges no lists but conditions: send a patch of type application/merge-patch+json',
    );
  return type === STRATEGIC ? { patch, strategic: true } : { patch, strategic: false };
}

type Conditions = readonly Json[];

const conditionsOf = (object: Json): Conditions | undefined => {
  const { conditions } = part(object, 'status');
  return Array.isArray(conditions) ? conditions.filter(isObject) : undefined;
};

/** The patch with other conditions in it; without any where these are none. */
function withConditions(patch: Json, conditions: Conditions): Json {
  if (conditionsOf(patch) === undefined) return patch;
  const { conditions: _, ...rest } = part(patch, 'status');
  return { ...patch, status: conditions.length === 0 ? rest : { ...rest, conditions } };
}

/** Conditions have a key, their type: each is merged with its namesake, the others stay. */
function mergeConditions(before: Json, patch: Json): Json {
  const [old, given] = [conditionsOf(before) ?? [], conditionsOf(patch)];
  if (given === undefined) return patch;
  const merged = old.map(one => mergePatch(one, given.find(({ type }) => type === one.type) ?? {}) as Json);
  const added = given.filter(({ type }) => !old.some(one => one.type === type));
  return withConditions(patch, [...merged, ...added]);
}

/** An outcome that is no object of its kind, or another one. */
function checkOutcome(target: Target, before: KubeObject, outcome: Json): void {
  const { resource, name = '' } = target;
  const wrong = wrongType(resource, outcome);
  if (wrong !== undefined) throw invalidPatch(JSON.stringify(outcome), wrong);
  if (outcome.kind !== before.kind)
    throw invalidPatch(JSON.stringify(outcome), `${word(outcome.kind)} is no ${before.kind}`);
  checkPlace(target, outcome);
  const uid = part(outcome, 'metadata').uid;
  if (uid === undefined || uid === before.metadata.uid) return;
  const message = `Invalid value: ${JSON.stringify(uid)}: field is immutable`;
  throw invalid(resource, name, [{ reason: 'FieldValueInvalid', field: 'metadata.uid', message }]);
}

export async function patch(
  store: Store,
  target: Target,
  request: IncomingMessage,
  which: Part,
): Promise<KubeObject> {
  const { resource, namespace, name = '' } = target;
  const sent = await patchOf(request);
  const before = store.get(keptAs(resource), namespace, name);
  const change = spelled(resource, sent.strategic ? mergeConditions(before, sent.patch) : sent.patch);
  checkOutcome({ ...target, resource: keptAs(resource) }, before, mergePatch(before, change) as Json);
  return store.patch(keptAs(resource), namespace, name, change, which);
}

type DeleteOptions = { readonly preconditions: Json; readonly graceSeconds: number | undefined };

async function deleteOptions(request: IncomingMessage, query: URLSearchParams): Promise<DeleteOptions> {
  const text = await bodyOf(request);
  const body = text === '' ? {} : parse(text, badRequest);
  const grace = query.get('gracePeriodSeconds') ?? body.gracePeriodSeconds;
  return {
    preconditions: part(body, 'preconditions'),
    graceSeconds: grace === undefined || grace === null ? undefined : Number(grace),
  };
}

function checkPreconditions(resource: Resource, before: KubeObject, wanted: Json): void {
  const { name, uid, resourceVersion } = before.metadata;
  for (const [what, asked, is] of [
    ['UID', wanted.uid, uid],
    ['ResourceVersion', wanted.resourceVersion, resourceVersion],
  ] as const)
    if (asked !== undefined && asked !== is)
      throw conflict(
        resource,
        name,
        `the ${what} in the precondition (${word(asked)}) does not match the ${what} in record (${is}). The object might have been deleted and then recreated`,
      );
}

/** A Pod on a node is left to its kubelet, unless it is told to be quick. */
function removePod(store: Store, before: KubeObject, graceSeconds: number | undefined): KubeObject {
  const { namespace, name } = before.metadata;
  const spec = part(before, 'spec');
  const wanted = graceSeconds ?? Number(spec.terminationGracePeriodSeconds ?? 30);
  const seconds = spec.nodeName ? wanted : 0;
  if (seconds > 0 && before.metadata.deletionTimestamp !== undefined) return before;
  const leaving = store.retire(PODS, namespace, name, seconds);
  if (seconds === 0) store.remove(PODS, namespace, name);
  return leaving;
}

/** There is no namespace controller here: the server does its work at once. */
function emptyNamespace(store: Store, resources: readonly Resource[], name: string): void {
  for (const resource of resources)
    if (resource.namespaced)
      for (const { metadata } of store.list(resource))
        if (metadata.namespace === name) store.remove(resource, name, metadata.name);
}

/** What the answer shows: the object where it is on its way, else a Status. */
export async function remove(
  store: Store,
  target: Target,
  request: IncomingMessage,
  query: URLSearchParams,
  resources: readonly Resource[],
): Promise<KubeObject | Json> {
  const { namespace, name = '' } = target;
  const resource = keptAs(target.resource);
  const { preconditions, graceSeconds } = await deleteOptions(request, query);
  const before = store.get(resource, namespace, name);
  checkPreconditions(resource, before, preconditions);
  if (resource === PODS) return removePod(store, before, graceSeconds);
  if (resource === NAMESPACES) emptyNamespace(store, resources, name);
  const { metadata } = store.remove(resource, namespace, name);
  const { group } = target.resource;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...(group !== '' && { group }), kind: resource.plural, uid: metadata.uid },
  };
}
