/** Lists, whole or in pages. A page's token holds the version it belongs to and where it goes on. */
import { show, type View } from './negotiate.ts';
import { type KubeObject, pathOf } from './object.ts';
import type { ListOptions } from './options.ts';
import type { Resource } from './resources.ts';
import { ApiFailure, badRequest, gone, tooLarge } from './status.ts';
import type { Store } from './store.ts';

/** `rv` -1: whatever is there now. `start`: the first path that may be listed. */
type Token = { readonly v: 'meta.k8s.io/v1'; readonly rv: number; readonly start: string };

const encode = (rv: number, start: string): string =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv, start } satisfies Token)).toString('base64url');

function decode(text: string): Token {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as Token;
    if (Number.isInteger(token.rv) && typeof token.start === 'string') return token;
  } catch {
    // Said below.
  }
  throw badRequest('invalid continue token: continue key is not valid');
}

const EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

const expired = (start: string): ApiFailure =>
  new ApiFailure({ code: 410, reason: 'Expired', message: EXPIRED, continue: encode(-1, start) });

/** The moment that is listed, and the first path of it. */
type Place = { readonly version: number; readonly start: string };

function placeOf(store: Store, { continue: more, version, match, limit }: ListOptions): Place {
  const now = store.version();
  if (more !== undefined) {
    const { rv, start } = decode(more);
    if (rv !== -1 && rv < store.oldest()) throw expired(start);
    return { version: rv === -1 ? now : rv, start };
  }
  if (version !== undefined && version > now) throw tooLarge(version, now);
  // With a limit a version is meant exactly, for the sake of old clients.
  const exact = match === 'Exact' || (match === undefined && limit > 0 && (version ?? 0) > 0);
  if (!exact || version === undefined) return { version: now, start: '' };
  if (version < store.oldest()) throw gone('The resourceVersion for the provided list is too old.');
  return { version, start: '' };
}

const itemOf = (object: KubeObject, view: View): unknown => {
  if (view === 'metadata') return show(object, view);
  // Items of a typed list carry no kind of their own; those of a metadata list do.
  const { kind: _kind, apiVersion: _apiVersion, ...item } = object;
  return item;
};

/** The answer's body. Throws ApiFailure 410 for a version that is forgotten, 504 for one that has not been. */
export function listObject(store: Store, resource: Resource, options: ListOptions, view: View) {
  const { version, start } = placeOf(store, options);
  // Version 0 is answered from what is at hand, where there are no pages.
  const limit = options.version === 0 && options.continue === undefined ? 0 : options.limit;
  const rest = store
    .list(resource, version)
    .filter(object => options.matches(object) && pathOf(object) >= start);
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.length < rest.length ? page.at(-1) : undefined;
  return {
    kind: view === 'whole' ? `${resource.kind}List` : 'PartialObjectMetadataList',
    apiVersion: view === 'whole' ? resource.apiVersion : 'meta.k8s.io/v1',
    metadata: {
      resourceVersion: String(version),
      ...(last !== undefined && {
        continue: encode(version, `${pathOf(last)}\0`),
        ...(options.everything && { remainingItemCount: rest.length - page.length }),
      }),
    },
    // A list of no metadata is null, not []: so the real server has it.
    items: page.length === 0 && view === 'metadata' ? null : page.map(object => itemOf(object, view)),
  };
}
