/** Objects of the API server → what policies need of them. Pure. */
import { parseNamespace, parsePod, parsePolicy } from '../policy/parse.ts';
import type { Namespace, Pod, Policy } from '../policy/types.ts';
import type { Result } from '../types.ts';
import type { Reader } from './objects.ts';
import { runtimeUidOf, trimNamespace, trimPod, trimPolicy } from './trim.ts';
import type { KubeObject } from './watchevent.ts';

/** A pod of this node, and the UID by which the runtime calls it: of static pods not the API's. */
export type OwnPod = { readonly pod: Pod; readonly runtimeUid: string };

const reader =
  <T>(
    trim: (object: KubeObject) => KubeObject,
    parse: (object: KubeObject) => Result<T>,
    idOf: (value: T, object: KubeObject) => string,
  ): Reader<T> =>
  object => {
    const kept = trim(object);
    const parsed = parse(kept);
    if (!parsed.ok) return { error: parsed.error };
    return { id: idOf(parsed.value, kept), value: parsed.value, source: JSON.stringify(kept) };
  };

const parseOwn = (object: KubeObject): Result<OwnPod> => {
  const pod = parsePod(object);
  return pod.ok ? { ok: true, value: { pod: pod.value, runtimeUid: runtimeUidOf(object) } } : pod;
};

export const readPolicy: Reader<Policy> = reader(trimPolicy, parsePolicy, policy => policy.key);

export const readNamespace: Reader<Namespace> = reader(
  trimNamespace,
  parseNamespace,
  namespace => namespace.name,
);

export const readPod: Reader<Pod> = reader(trimPod, parsePod, pod => pod.uid);

export const readOwnPod: Reader<OwnPod> = reader(trimPod, parseOwn, own => own.pod.uid);
