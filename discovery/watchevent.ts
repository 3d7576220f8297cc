/** Lists and watch lines of an API server, parsed once. Pure. */
import { ApiError } from './api-error.ts';

export type Json = Readonly<Record<string, unknown>>;

/** Any object with metadata, of which the rest is not looked at. */
export type KubeObject = { readonly metadata: Json; readonly [field: string]: unknown };

export type ListPage = {
  readonly items: readonly KubeObject[];
  readonly version: string;
  /** Token of the next page; absent on the last one. */
  readonly more: string | undefined;
};

export type WatchEvent =
  | {
      readonly kind: 'changed' | 'deleted';
      readonly object: KubeObject;
      readonly version: string | undefined;
    }
  | { readonly kind: 'bookmark'; readonly version: string | undefined };

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isObject = (value: unknown): value is KubeObject => isRecord(value) && isRecord(value.metadata);

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

const malformed = (what: string): ApiError =>
  new ApiError(`the API server sent ${what}`, { reason: 'Malformed' });

/** Throws ApiError where the answer is no list. */
export function parseListPage(json: unknown): ListPage {
  if (!isObject(json) || !(Array.isArray(json.items) || json.items === null))
    throw malformed('something that is no list of objects: is this the address of a Kubernetes API server?');
  const version = textOf(json.metadata.resourceVersion);
  if (version === undefined) throw malformed('a list without resourceVersion');
  return { items: (json.items ?? []).filter(isObject), version, more: textOf(json.metadata.continue) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw malformed(`a watch line that is not JSON: ${line.slice(0, 80)}`);
  }
}

function refusal(object: unknown): ApiError {
  const { code, reason, message } = isRecord(object) ? object : {};
  return new ApiError(`the watch ended: ${textOf(message) ?? 'without a message'}`, {
    status: typeof code === 'number' ? code : undefined,
    reason: textOf(reason),
  });
}

/** One line of a watch. Throws ApiError for an ERROR event and for what is none. */
export function parseWatchLine(line: string): WatchEvent {
  const json = parseJson(line);
  const { type, object } = isRecord(json) ? json : {};
  if (type === 'ERROR') throw refusal(object);
  if (!isObject(object)) throw malformed(`a watch line without an object: ${line.slice(0, 80)}`);
  const version = textOf(object.metadata.resourceVersion);
  if (type === 'BOOKMARK') return { kind: 'bookmark', version };
  if (type === 'DELETED') return { kind: 'deleted', object, version };
  if (type === 'ADDED' || type === 'MODIFIED') return { kind: 'changed', object, version };
  throw malformed(`a watch line of type ${JSON.stringify(type)}`);
}
