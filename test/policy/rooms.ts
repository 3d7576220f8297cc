/** A room of policies over an applier that only remembers, and a small world for it. */
import type { TestContext } from 'node:test';
import type { ClusterObjects } from '../../discovery/cluster.ts';
import type { NodeFact } from '../../discovery/types.ts';
import type { Applied, Applier } from '../../policy/apply.ts';
import { openPolicyRoom } from '../../policy/room.ts';
import type { RuleSet } from '../../policy/types.ts';
import type { Wired } from '../../policy/wired.ts';
import type { Ip } from '../../types.ts';
import { memoryLog, until } from '../discovery/helpers.ts';
import { namespaceObject, podObject, toNamespace, toPod, toPolicy } from './clusters.ts';

export const DENY = toPolicy({
  metadata: { namespace: 'x', name: 'deny' },
  spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
});

export const NOTHING: ClusterObjects = { policies: [], namespaces: [], ownPods: [], otherPods: [] };

export const wired = (name: string, ip: string): Wired => ({
  ips: [ip as Ip],
  pod: { namespace: 'x', name, uid: `x-${name}` },
});

type Start = Partial<{
  known: boolean;
  synced: boolean;
  objects: ClusterObjects;
  nodes: readonly NodeFact[];
  /** Each change of the kernel waits for it. */
  slow: () => Promise<void>;
}>;

export function setUp(t: TestContext, start: Start = {}) {
  const calls: string[] = [];
  /** Rule sets by which connections were judged. */
  const judged: RuleSet[] = [];
  let rules: RuleSet | undefined;
  let broken = false;
  const world = {
    known: start.known ?? true,
    synced: start.synced ?? true,
    objects: start.objects ?? NOTHING,
    wired: [] as readonly Wired[],
  };
  const answer =
    (how: Applied['how']) =>
    async (next?: RuleSet): Promise<Applied> => {
      calls.push(how);
      await start.slow?.();
      if (broken) throw new Error('the kernel says no');
      rules = next;
      return { how, operations: 1 };
    };
  const applier: Applier = {
    adopt: answer('whole'),
    change: (_, to) => answer('elements')(to),
    place: async () => {
      calls.push('placed');
      if (broken) throw new Error('the kernel says no');
      return { how: 'elements', operations: 1 };
    },
    hold: (_, to) => answer('text')(to),
    remove: () => answer('removed')(),
  };
  const log = memoryLog();
  const room = openPolicyRoom({
    nodeName: 'node1',
    applier,
    objects: () => world.objects,
    known: () => world.known,
    synced: () => world.synced,
    nodes: () => start.nodes ?? [],
    wired: () => world.wired,
    applied: next => {
      judged.push(next);
    },
    log,
  });
  t.after(() => room.close());
  const settled = () => until(() => !room.report().dirty, 'a run');
  const set = (next: Partial<typeof world>): void => void Object.assign(world, next);
  const change = async (next: Partial<typeof world>): Promise<void> => {
    set(next);
    room.mark();
    await settled();
  };
  return {
    room,
    calls,
    judged,
    log,
    settled,
    set,
    change,
    rules: () => rules,
    breakIt: (now: boolean) => {
      broken = now;
    },
  };
}

export const withPolicy: ClusterObjects = {
  policies: [DENY],
  namespaces: [toNamespace(namespaceObject('x'))],
  ownPods: [{ pod: toPod(podObject('x', 'a', 'node1', [])), runtimeUid: 'x-a' }],
  otherPods: [],
};
