/** Lists, whole or in pages. A page's token holds the version it belongs to and the last name seen. */
import { show, type View } from './negotiate.ts';
import type { KubeObject } from './object.ts';
import type { Resource } from './resources.ts';
import { badRequest, gone } from './status.ts';
import type { Store } from './store.ts';

type Token = { readonly version: number; readonly after: string };

const encode = (token: Token): string => Buffer.from(JSON.stringify(token)).toString('base64url');

function decode(text: string): Token {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as Token;
    if (Number.isInteger(token.version) && typeof token.after === 'string') return token;
  } catch {
    // Said below.
  }
  throw badRequest('continue key is not valid');
}

const path = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

/** The answer's body. Throws 410 for a token whose version is forgotten. */
export function listObject(
  store: Store,
  resource: Resource,
  objects: readonly KubeObject[],
  view: View,
  limit: number,
  continueToken: string | null,
) {
  const token = continueToken ? decode(continueToken) : undefined;
  if (token && token.version < store.oldest())
    throw gone('The provided continue parameter is too old to display a consistent list result.');
  const rest = token ? objects.filter(object => path(object) > token.after) : objects;
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.at(-1);
  const version = token?.version ?? store.version();
  const more = page.length < rest.length && last !== undefined;
  return {
    kind: view === 'whole' ? `${resource.kind}List` : 'PartialObjectMetadataList',
    apiVersion: view === 'whole' ? resource.apiVersion : 'meta.k8s.io/v1',
    metadata: {
      resourceVersion: String(version),
      ...(more && {
        continue: encode({ version, after: path(last) }),
        remainingItemCount: rest.length - page.length,
      }),
    },
    // Items of a typed list carry no kind of their own; those of a metadata list do.
    items: page.map(object => {
      if (view === 'metadata') return show(object, view);
      const { kind: _kind, apiVersion: _apiVersion, ...item } = object;
      return item;
    }),
  };
}
