/**
 * NetworkPolicies in force: what is known → rule set → kernel, in a loop of its own, so that no policy
 * waits for the mesh. Without any policy there is no table, and a pod costs nothing.
 */
import type { Log } from '../agent/log.ts';
import { openLater, startRunner } from '../agent/runner.ts';
import { openSaid } from '../agent/said.ts';
import { messageOf } from '../discovery/api-error.ts';
import type { ClusterObjects } from '../discovery/cluster.ts';
import type { NodeFact } from '../discovery/types.ts';
import type { Ip } from '../types.ts';
import { newAdmission } from './admission.ts';
import type { Applied, Applier } from './apply.ts';
import { newCompiler } from './compile.ts';
import { newFacts } from './facts.ts';
import { openInForce } from './inforce.ts';
import { LOOK_MS, newLooks } from './looks.ts';
import { isTaken } from './place.ts';
import type { Cluster, Policy, RuleSet } from './types.ts';
import { isUnselected } from './unselected.ts';
import { shows, type Wired } from './wired.ts';

export type PolicyDeps = {
  readonly nodeName: string;
  readonly applier: Applier;
  readonly objects: () => ClusterObjects;
  /** Enough is known to act on. */
  readonly known: () => boolean;
  /** All of it is the API server's of this life: what is remembered closes pods, but cuts nobody's connections. */
  readonly synced: () => boolean;
  readonly nodes: () => readonly NodeFact[];
  /** All attachments of now. */
  readonly wired: () => readonly Wired[];
  /** Connections of before are to be judged by these, which are in the kernel now. */
  readonly applied: (rules: RuleSet) => void;
  /** A change was put into the kernel in so many milliseconds, compilation included. */
  readonly timed?: (ms: number) => void;
  readonly log: Log;
};

export type PolicyReport = {
  readonly known: boolean;
  readonly policies: number;
  /** Chains of own pods' classes. */
  readonly classes: number;
  /** Own pods that are isolated in at least one direction. */
  readonly isolated: number;
  /** Addresses of pods that are not known yet. */
  readonly pending: readonly Ip[];
  readonly runs: number;
  /** Milliseconds of the last run that changed something, compilation included. */
  readonly lastMs: number;
  readonly last: Applied['how'] | undefined;
  /** Something has changed that is not in the kernel yet. */
  readonly dirty: boolean;
  readonly error: string | undefined;
};

export type PolicyRoom = {
  /**
   * Before the pod has a wire: resolves when its policies are in force, or it is closed until they are; true where
   * they are in force.
   */
  readonly guard: (pod: Wired) => Promise<boolean>;
  /** Before the pod starts: resolves when its policies are in force, or have been waited for long enough. */
  readonly admit: (pod: Wired) => Promise<void>;
  /** Something that the rules are made from has changed. */
  readonly mark: () => void;
  /** Somebody's hand was in nftables. */
  readonly suspect: () => void;
  readonly report: () => PolicyReport;
  /** In force now. */
  readonly rules: () => RuleSet | undefined;
  readonly cluster: () => Cluster | undefined;
  readonly close: () => Promise<void>;
};

/** Changes come in crowds; the budget from news to kernel is 50 ms. */
const MIN_RUN_MS = 8;
const RETRY_MS = 250;
/** A pod that the API does not show in this time starts closed. */
const PATIENCE_MS = 10_000;

/** What of the policies is not understood, by policy and field. */
const misunderstood = (policies: readonly Policy[]): ReadonlyMap<string, string> =>
  new Map(
    policies.flatMap(({ key, errors }) =>
      errors.map(({ field, message }) => [
        `NetworkPolicy ${key} ${field}`,
        `NetworkPolicy ${key}: ${field}: ${message}`,
      ]),
    ),
  );

const isEmpty = (rules: RuleSet, cluster: Cluster): boolean =>
  cluster.policies.length === 0 && rules.ingress.size === 0 && rules.egress.size === 0;

const isolatedBy = (rules: RuleSet | undefined): number =>
  rules === undefined ? 0 : new Set([...rules.ingress.keys(), ...rules.egress.keys()]).size;

export function openPolicyRoom(deps: PolicyDeps): PolicyRoom {
  const { applier, log } = deps;
  const factsOf = newFacts(deps.nodeName);
  const compile = newCompiler();
  const admission = newAdmission(PATIENCE_MS);
  const said = openSaid(log);
  let cluster: Cluster | undefined;
  const looks = newLooks();
  const inForce = openInForce(applier, looks);
  /** Marks so far, and how many of them a whole run has seen. */
  let marks = 0;
  let seen = -1;
  let runs = 0;
  let lastMs = 0;
  let last: Applied['how'] | undefined;
  let error: string | undefined;
  /** Connections are to be judged by the rules in force: an agent before this one may not have come to it. */
  let owed = true;

  /** Of what is known; while nothing is, only those that have just come, who start closed. */
  const clusterOf = (wired: readonly Wired[], known: boolean): Cluster => {
    const { policies, namespaces, ownPods, otherPods } = deps.objects();
    if (known) return factsOf({ policies, namespaces, ownPods, otherPods, wired, nodes: deps.nodes() });
    const fresh = admission.fresh();
    const unknown = wired
      .filter(one => one.pod !== undefined && one.ips.some(ip => fresh.has(ip)))
      .flatMap(one => one.ips);
    return { self: deps.nodeName, policies: [], pods: [], namespaces: [], nodes: [], unknown };
  };

  const settle = (now: Cluster, wired: readonly Wired[], known: boolean): void => {
    const living = new Set(wired.flatMap(one => one.ips));
    const closed = new Set(now.unknown);
    admission.settle(ip => {
      if (!living.has(ip)) return undefined;
      if (closed.has(ip)) return 'closed';
      return known ? 'ready' : undefined;
    });
    // Whoever a known run has seen has its place in the table, and has not just come any more.
    admission.retain(known ? new Set() : living);
  };

  const run = async (): Promise<number | undefined> => {
    runs += 1;
    const marked = marks;
    const begin = performance.now();
    const known = deps.known();
    const wired = deps.wired();
    const next = clusterOf(wired, known);
    // The table of an earlier life holds until something is known, and nobody came meanwhile.
    if (!known && next.unknown.length === 0) {
      seen = marked;
      return undefined;
    }
    if (looks.due(begin)) inForce.forget();
    const rules = compile(next);
    const applied = known ? await inForce.put(rules, isEmpty(rules, next)) : await inForce.hold(rules);
    if (cluster?.policies !== next.policies) said.say(misunderstood(next.policies));
    cluster = next;
    error = undefined;
    seen = marked;
    settle(next, wired, known);
    if (applied.how !== 'nothing') {
      lastMs = performance.now() - begin;
      deps.timed?.(lastMs);
      last = applied.how;
      log.debug({ ...applied, ms: Math.round(lastMs), policies: next.policies.length }, 'policies applied');
    }
    if (known && applied.how !== 'nothing') owed = true;
    if (known && owed && deps.synced()) {
      owed = false;
      deps.applied(rules);
    }
    // Without knowledge the table is not looked at, and news of it would stay news.
    return known ? looks.wait(performance.now()) : undefined;
  };

  const runner = startRunner({
    run,
    onError: thrown => {
      error = messageOf(thrown);
      // It may have been done all the same.
      owed = true;
      log.error({ error }, 'NetworkPolicies cannot be put into the kernel; trying again');
    },
    minMs: MIN_RUN_MS,
    maxMs: LOOK_MS,
    retryMs: RETRY_MS,
  });
  const mark = (): void => {
    marks += 1;
    runner.mark();
  };
  mark();

  /** Others may still have to learn of a pod that is open itself. */
  const soon = openLater(runner.mark, MIN_RUN_MS);

  /** Without a run: where no policy selects it, or into the class that was made for it, where nothing is newer than that. */
  const enters = async (pod: NonNullable<Wired['pod']>, ips: readonly Ip[]): Promise<boolean> => {
    const rules = inForce.rules();
    if (rules === undefined || !deps.known()) return false;
    const { ownPods, policies } = deps.objects();
    const shown = ownPods.find(one => shows(one, pod))?.pod;
    if (isUnselected(pod.namespace, shown, policies)) return !isTaken(rules, ips);
    if (shown === undefined || cluster?.policies !== policies) return false;
    const placed = await inForce.place(shown, ips);
    owed ||= placed;
    return placed;
  };

  const admitted = async ({ pod, ips }: Wired, until: 'closed' | 'ready'): Promise<boolean> => {
    const [first] = ips;
    if (pod === undefined || first === undefined) return true;
    await inForce.still();
    if (await enters(pod, ips)) {
      if (!inForce.tableless()) {
        marks += 1;
        soon.mark();
      }
      return true;
    }
    const standing = admission.wait(first, until);
    marks += 1;
    runner.hurry();
    return standing;
  };

  return {
    guard: pod => admitted(pod, 'closed'),
    admit: async pod => void (await admitted(pod, 'ready')),
    mark,
    suspect: () => {
      looks.suspect(performance.now());
      if (!inForce.tableless()) runner.mark();
    },
    report: () => ({
      known: deps.known(),
      policies: cluster?.policies.length ?? 0,
      classes: inForce.rules()?.chains.size ?? 0,
      isolated: isolatedBy(inForce.rules()),
      pending: cluster?.unknown ?? [],
      runs,
      lastMs,
      last,
      dirty: seen !== marks,
      error,
    }),
    rules: inForce.rules,
    cluster: () => cluster,
    close: async () => {
      admission.end();
      soon.cancel();
      await runner.stop();
    },
  };
}
