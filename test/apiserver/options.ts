/** The query of a list or a watch, read once. Pure; throws ApiFailure as the server would answer. */
import { fieldMatcher } from './fields.ts';
import type { KubeObject } from './object.ts';
import type { Target } from './resources.ts';
import { labelMatcher, type Matcher } from './selector.ts';
import { ApiFailure, badRequest, failure } from './status.ts';

export type Match = 'Exact' | 'NotOlderThan';

export type ListOptions = {
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string | undefined;
  /** Undefined: the present. */
  readonly version: number | undefined;
  readonly match: Match | undefined;
  readonly matches: Matcher;
  /** Every object of the resource is meant. */
  readonly everything: boolean;
};

export type WatchOptions = {
  /** Undefined: from now on, after what is there. */
  readonly version: number | undefined;
  readonly matches: Matcher;
  readonly bookmarks: boolean;
  /** What is there comes first, then a bookmark that says so. */
  readonly initial: boolean;
  readonly timeoutSeconds: number | undefined;
};

/** As the real server reads booleans. */
const isTrue = (text: string | null): boolean =>
  text !== null && text !== '0' && text.toLowerCase() !== 'false';

export const isWatch = (query: URLSearchParams): boolean => isTrue(query.get('watch'));

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text);
}

const NOT_A_VERSION = (text: string): string =>
  `resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`;

function versionOf(query: URLSearchParams, refuse: (text: string) => ApiFailure): number | undefined {
  const text = query.get('resourceVersion') ?? '';
  if (text === '') return undefined;
  if (!/^\d+$/.test(text)) throw refuse(text);
  return Number(text);
}

const forbiddenOption = (message: string): ApiFailure =>
  failure(422, `ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: ${message}`, {
    group: 'meta.k8s.io',
    kind: 'ListOptions',
    causes: [
      { reason: 'FieldValueForbidden', message: `Forbidden: ${message}`, field: 'resourceVersionMatch' },
    ],
  });

function matcherOf({ resource, namespace }: Target, query: URLSearchParams): Matcher {
  const labels = labelMatcher(query.get('labelSelector') ?? '');
  const fields = fieldMatcher(resource, query.get('fieldSelector') ?? '');
  const within = (object: KubeObject) => namespace === undefined || object.metadata.namespace === namespace;
  return object => within(object) && labels(object) && fields(object);
}

export function listOptions(target: Target, query: URLSearchParams): ListOptions {
  const version = versionOf(query, text => badRequest(`invalid resource version: ${NOT_A_VERSION(text)}`));
  const match = (query.get('resourceVersionMatch') || undefined) as Match | undefined;
  const more = query.get('continue') || undefined;
  if (match !== undefined && version === undefined)
    throw forbiddenOption('resourceVersionMatch is forbidden unless resourceVersion is provided');
  if (more !== undefined && version !== undefined && version !== 0)
    throw badRequest('specifying resource version is not allowed when using continue');
  return {
    limit: Math.max(numberOf(query, 'limit') ?? 0, 0),
    continue: more,
    version,
    match,
    matches: matcherOf(target, query),
    everything: !query.get('labelSelector') && !query.get('fieldSelector'),
  };
}

export function watchOptions(target: Target, query: URLSearchParams): WatchOptions {
  // The real server's answer here has no reason, by some accident.
  const version = versionOf(query, text => new ApiFailure({ code: 500, message: NOT_A_VERSION(text) }));
  const asked = isTrue(query.get('sendInitialEvents'));
  if (asked && query.get('resourceVersionMatch') !== 'NotOlderThan')
    throw forbiddenOption('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  return {
    version: version === 0 ? undefined : version,
    matches: matcherOf(target, query),
    bookmarks: isTrue(query.get('allowWatchBookmarks')),
    initial: asked || version === undefined || version === 0,
    timeoutSeconds: numberOf(query, 'timeoutSeconds') || undefined,
  };
}
