/**
 * Own pods with the addresses that they really have: a lease tells its addresses before the API does,
 * and a pod keeps its policies as long as its lease, also when its object is gone already. Pure.
 */
import type { Ip } from '../types.ts';
import type { Pod } from './types.ts';

/** An attachment as the cni room knows it. */
export type Wired = {
  readonly ips: readonly Ip[];
  /** Absent where no Kubernetes pod is behind it. */
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string } | undefined;
};

/** A pod of this node as the API shows it; `runtimeUid` is what the runtime calls it. */
export type Shown = { readonly pod: Pod; readonly runtimeUid: string };

export type OwnPods = {
  readonly pods: readonly Pod[];
  /** Addresses of attachments whose pod the API has not shown. */
  readonly unknown: readonly Ip[];
};

/** Runtimes that give no UID are believed by name. */
export const shows = (
  { pod, runtimeUid }: Shown,
  { uid, namespace, name }: NonNullable<Wired['pod']>,
): boolean => pod.namespace === namespace && pod.name === name && (uid === '' || uid === runtimeUid);

function finder(shown: readonly Shown[]): (pod: NonNullable<Wired['pod']>) => Pod | undefined {
  const byUid = new Map(shown.map(one => [one.runtimeUid, one]));
  const byName = new Map(shown.map(one => [one.pod.key as string, one]));
  return pod => {
    const found = pod.uid === '' ? byName.get(`${pod.namespace}/${pod.name}`) : byUid.get(pod.uid);
    return found !== undefined && shows(found, pod) ? found.pod : undefined;
  };
}

const same = (a: readonly Ip[], b: readonly Ip[]): boolean =>
  a.length === b.length && a.every((ip, n) => ip === b[n]);

/** The same object as before where nothing differs: whoever compiles compares objects. */
function withLease(
  pod: Pod,
  ips: readonly Ip[],
  previous: Pod | undefined,
  shownBefore: Pod | undefined,
): Pod {
  if (previous !== undefined && shownBefore === pod && same(previous.ips, ips)) return previous;
  return { ...pod, ips, done: false };
}

/** A pod as it was given out, and the shown one that it was made from. */
type Given = { readonly given: Pod; readonly from: Pod; readonly uid: string };

/** Not every runtime gives a UID. */
const isOf = ({ given, uid }: Given, pod: NonNullable<Wired['pod']>): boolean =>
  uid === pod.uid && given.namespace === pod.namespace && given.name === pod.name;

/** Remembers; each call gets all attachments and all shown pods of now. Unchanged pods are the same objects. */
export function newOwnPods(): (wired: readonly Wired[], shown: readonly Shown[]) => OwnPods {
  /** By first address. */
  let memory = new Map<Ip, Given>();
  let bare = new Map<Pod, Pod>();
  let index: { readonly shown: readonly Shown[]; readonly find: ReturnType<typeof finder> } | undefined;

  return (wired, shown) => {
    if (index?.shown !== shown) index = { shown, find: finder(shown) };
    const { find } = index;
    const taken = new Set(wired.flatMap(one => one.ips));
    const next = new Map<Ip, Given>();
    const attached = new Set<Pod>();
    const pods: Pod[] = [];
    const unknown: Ip[] = [];
    for (const { ips, pod } of wired) {
      const [first] = ips;
      if (pod === undefined || first === undefined) continue;
      const before = memory.get(first);
      const mine = before !== undefined && isOf(before, pod) ? before : undefined;
      const found = find(pod);
      if (found !== undefined) attached.add(found);
      const from = found ?? mine?.from;
      if (from === undefined) {
        unknown.push(...ips);
        continue;
      }
      const given = withLease(from, ips, mine?.given, mine?.from);
      next.set(first, { given, from, uid: pod.uid });
      pods.push(given);
    }
    const rest: typeof bare = new Map();
    for (const { pod } of shown) {
      if (attached.has(pod)) continue;
      // What the API still says of an earlier sandbox may be another pod's by now.
      const stale = !pod.hostNetwork && pod.ips.some(ip => taken.has(ip));
      const given = stale ? (bare.get(pod) ?? { ...pod, ips: [] }) : pod;
      if (stale) rest.set(pod, given);
      pods.push(given);
    }
    memory = next;
    bare = rest;
    return { pods, unknown };
  };
}
