/**
 * Policies and what they are made of, on disk: an agent that starts without the API server enforces at
 * once what was in force. Policies and namespaces survive a boot; pods, which change all the time and end with
 * a boot, lie in memory. Objects are as `discovery/trim.ts` leaves them. Pure.
 */
import type { Namespace, Pod, Policy } from '../policy/types.ts';
import type { Result } from '../types.ts';
import type { Kept, Reader } from './objects.ts';
import { type OwnPod, readNamespace, readOwnPod, readPod, readPolicy } from './readers.ts';
import type { KubeObject } from './watchevent.ts';

const VERSION = 1;

/** JSON texts of objects. */
export type Sources = Readonly<
  Record<'policies' | 'namespaces' | 'ownPods' | 'otherPods', readonly string[]>
>;

export type Remembered = {
  readonly policies: readonly Kept<Policy>[];
  readonly namespaces: readonly Kept<Namespace>[];
  readonly ownPods: readonly Kept<OwnPod>[];
  readonly otherPods: readonly Kept<Pod>[];
};

const block = (name: string, sources: readonly string[]): string => `"${name}":[\n${sources.join(',\n')}\n]`;

/** One file's text: some of the lists, one object a line. */
export const printSources = (sources: Partial<Sources>): string =>
  `{"version":${VERSION},${Object.entries(sources)
    .map(([name, list]) => block(name, list))
    .join(',')}}\n`;

const isObject = (value: unknown): value is KubeObject =>
  typeof value === 'object' && value !== null && 'metadata' in value;

const readAll = <T>(list: unknown, reader: Reader<T>): readonly Kept<T>[] =>
  (Array.isArray(list) ? list : []).filter(isObject).flatMap(object => {
    const item = reader(object);
    return 'error' in item ? [] : [item];
  });

function parseFile(text: string): Result<Readonly<Record<string, unknown>>> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, error: text === '' ? 'it is empty' : 'it is not JSON' };
  }
  const file = (typeof json === 'object' && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  return file.version === VERSION
    ? { ok: true, value: file }
    : { ok: false, error: `it is not a version ${VERSION} file` };
}

/**
 * Texts of the files, or why one is of no use. Objects that do not parse are left out. `pods` may be
 * absent, as after a boot: the pods of before are gone then too.
 */
export function parseSources(policies: string, pods: string | undefined): Result<Remembered> {
  const first = parseFile(policies);
  if (!first.ok) return first;
  const second = pods === undefined ? { ok: true as const, value: {} } : parseFile(pods);
  if (!second.ok) return second;
  const file: Readonly<Record<string, unknown>> = { ...second.value, ...first.value };
  return {
    ok: true,
    value: {
      policies: readAll(file.policies, readPolicy),
      namespaces: readAll(file.namespaces, readNamespace),
      ownPods: readAll(file.ownPods, readOwnPod),
      otherPods: readAll(file.otherPods, readPod),
    },
  };
}
