/** From any cluster to any other: the difference arrives, and on the way nothing passes that both forbid. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newCompiler } from '../../policy/compile.ts';
import { diff, diffTable } from '../../policy/diff.ts';
import { tableOf } from '../../policy/table.ts';
import type { Cluster, Operation, RuleSet } from '../../policy/types.ts';
import type { Ip } from '../../types.ts';
import { history } from './history.ts';
import { applyOne, assertDisjoint, kernelOf, sorted } from './kernel.ts';
import type { RawPeer, RawPolicy, RawPort, World } from './naive.ts';
import { forwards, hooks } from './simulate.ts';
import { podOf, policyOf, worldWith } from './small.ts';
import { pod, probes, toCluster, world } from './world.ts';

const fresh = (cluster: Cluster): RuleSet => newCompiler()(cluster);

function follow(old: RuleSet, now: RuleSet, operations: readonly Operation[]): void {
  const kernel = kernelOf(tableOf(old));
  for (const operation of operations) applyOne(kernel, operation);
  assert.deepEqual(sorted(kernel), sorted(tableOf(now)));
  assertDisjoint(kernel);
}

/** Pods in pairs with one address, as while an address is reused. */
const doubled = (one: World): World => ({
  ...one,
  pods: one.pods.map((each, n) => ({
    ...each,
    status: {
      ...each.status,
      podIPs: [{ ip: `10.42.0.${(n % 3) + 2}` }, { ip: `fd42:0:0:1::${(n % 3) + 2}` }],
    },
  })),
});

test('a compiler with a memory gives what a new one gives, and its differences lead there', () =>
  fc.assert(
    fc.property(history(5), fc.boolean(), (all, double) => {
      const worlds = double ? all.map(doubled) : all;
      const compile = newCompiler();
      let old = fresh({ self: 'n0', policies: [], pods: [], namespaces: [], nodes: [], unknown: [] });
      for (const one of worlds) {
        const now = compile(toCluster(one, 'n0'));
        assert.deepEqual(sorted(tableOf(now)), sorted(tableOf(fresh(toCluster(one, 'n0')))));
        follow(old, now, diff(old, now));
        follow(old, now, diffTable(tableOf(old), now));
        assert.deepEqual(diff(now, compile(toCluster(one, 'n0'))), []);
        old = now;
      }
    }),
    { numRuns: Number(process.env.WEFT_RUNS ?? 150) },
  ));

const APPS = ['x', 'y', 'z'];

/** Both directions, or one, for one app, from and to some; always of one shape, so that chains stay. */
const appPolicy = (app: string): fc.Arbitrary<RawPolicy> =>
  fc
    .tuple(fc.subarray(APPS, { minLength: 1 }), fc.subarray(APPS, { minLength: 1 }), fc.nat(2))
    .map(([from, to, which]) => {
      const peers = (apps: string[]): RawPeer[] =>
        apps.map(one => ({ podSelector: { matchLabels: { app: one } } }));
      return {
        metadata: { namespace: 'a', name: app },
        spec: {
          podSelector: { matchLabels: { app } },
          policyTypes: which === 0 ? ['Ingress'] : which === 1 ? ['Egress'] : ['Ingress', 'Egress'],
          ingress: [{ from: peers(from) }],
          egress: [{ to: peers(to) }],
        },
      };
    });

/**
 * Six pods of one namespace and node whose labels, and so classes and groups, change at once with the
 * rules of the policies: pods move between chains while these change.
 */
const crowd: fc.Arbitrary<World> = fc
  .record({
    pods: fc.tuple(...[0, 1, 2, 3, 4, 5].map(pod)),
    apps: fc.array(fc.constantFrom(...APPS), { minLength: 6, maxLength: 6 }),
    policies: fc.tuple(...APPS.map(appPolicy)).chain(all => fc.subarray(all, { minLength: 2 })),
    base: world,
  })
  .map(({ pods, apps, policies, base }) => ({
    ...base,
    policies,
    pods: pods.map((one, n) => ({
      metadata: { ...one.metadata, namespace: 'a', labels: { app: apps[n] as string } },
      spec: { ...one.spec, nodeName: 'n0', hostNetwork: false },
      status: { phase: 'Running', podIPs: [{ ip: `10.42.0.${n + 2}` }] },
    })),
  }));

test('after every operation, all moves being one, nothing passes that both rule sets forbid', () => {
  let moved = 0;
  fc.assert(
    fc.property(crowd, crowd, (first, second) => {
      const compile = newCompiler();
      const old = compile(toCluster(first, 'n0'));
      const now = compile(toCluster(second, 'n0'));
      const [before, after] = [tableOf(old), tableOf(now)];
      const both = [...probes(first)]
        .filter(
          ({ src, dst, port, protocol }) =>
            !`${src}${dst}`.includes(':') && port === 80 && protocol === 'TCP',
        )
        .filter(probe => hooks(first, probe).includes('n0'))
        .filter(probe => !forwards(before, probe) && !forwards(after, probe));
      const kernel = kernelOf(before);
      const operations = diff(old, now);
      for (const [n, operation] of operations.entries()) {
        applyOne(kernel, operation);
        if (operation.kind === 'bind' && operations[n + 1]?.kind === 'bind') continue;
        if (operation.kind === 'bind') moved += 1;
        for (const probe of both)
          assert.equal(
            forwards(kernel, probe),
            false,
            `${JSON.stringify(probe)} passes after ${operation.kind}`,
          );
      }
    }),
    { numRuns: Number(process.env.WEFT_RUNS ?? 150) },
  );
  assert.ok(moved > 50, `pods moved in ${moved} runs`);
});

const shuffled = <T>(list: readonly T[], by: number): T[] =>
  list
    .map((item, n) => [(n * 7919 + by) % 101, item] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, item]) => item);

test('the order of policies, pods, namespaces and nodes does not matter', () =>
  fc.assert(
    fc.property(world, fc.nat(100), (one, by) => {
      const cluster = toCluster(one, 'n1');
      const other: Cluster = {
        ...cluster,
        policies: shuffled(cluster.policies, by),
        pods: shuffled(cluster.pods, by),
        namespaces: shuffled(cluster.namespaces, by),
        nodes: shuffled(cluster.nodes, by),
      };
      assert.deepEqual(sorted(tableOf(fresh(other))), sorted(tableOf(fresh(cluster))));
    }),
    { numRuns: 60 },
  ));

test('an address whose pod is not known is closed, opens when it is known, and closes again', () =>
  fc.assert(
    fc.property(world, one => {
      const compile = newCompiler();
      const cluster = toCluster(one, 'n0');
      const known = compile(cluster);
      const unknown = [...known.own, '10.42.0.99' as Ip];
      const closed = compile({ ...cluster, unknown });
      assert.deepEqual(
        [...closed.ingress.values(), ...closed.egress.values()],
        Array(unknown.length * 2).fill('pending'),
      );
      follow(known, closed, diff(known, closed));
      const again = compile(cluster);
      follow(closed, again, diff(closed, again));
      assert.deepEqual(sorted(tableOf(again)), sorted(tableOf(known)));
    }),
    { numRuns: 30 },
  ));

const web = (port: number) => [{ name: 'web', containerPort: port }];
const towards = (ports: readonly RawPort[]): RawPolicy =>
  policyOf('x/p', { policyTypes: ['Egress'], egress: [{ to: [{ podSelector: {} }], ports }] });
const from = (...ports: RawPort[]): RawPolicy => policyOf('x/p', { ingress: [{ ports }] });

const A = podOf('x/a', 10);
const WEB = towards([{ port: 'web' }]);
const STEPS: readonly (readonly [string, World, World])[] = [
  [
    'a pod comes again with its address and another named port',
    worldWith([A, podOf('x/b', 11, { ports: web(80) })], [WEB]),
    worldWith([A, podOf('x/b', 11, { ports: web(81) })], [WEB]),
  ],
  [
    'a range grows in a policy for anybody',
    worldWith([A], [from({ port: 80, endPort: 90 })]),
    worldWith([A], [from({ port: 80, endPort: 95 })]),
  ],
  [
    'ranges of pods overlap and touch',
    worldWith([A], [towards([{ port: 80, endPort: 90 }])]),
    worldWith(
      [A],
      [
        towards([
          { port: 85, endPort: 90 },
          { port: 90, endPort: 95 },
          { port: 96, endPort: 99 },
        ]),
      ],
    ),
  ],
];

for (const [what, first, second] of STEPS)
  test(`${what}: elements of the living chain change`, () => {
    const compile = newCompiler();
    const old = compile(toCluster(first, 'n0'));
    const now = compile(toCluster(second, 'n0'));
    const operations = diff(old, now);
    assert.ok(operations.length > 0 && operations.every(operation => 'set' in operation));
    follow(old, now, operations);
  });

test('of two own pods with one address the later by name decides, also when it is open', () => {
  const policies = [policyOf('x/p', { podSelector: { matchLabels: { app: 'closed' } } })];
  const pods = (first: string, second: string): World =>
    worldWith(
      [podOf('x/a', 10, { labels: { app: first } }), podOf('x/b', 10, { labels: { app: second } })],
      policies,
    );
  const isolated = (one: World): boolean => fresh(toCluster(one, 'n0')).ingress.has('10.42.0.10' as Ip);
  assert.equal(isolated(pods('closed', 'open')), false);
  assert.equal(isolated(pods('open', 'closed')), true);
});
