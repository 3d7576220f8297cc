/** NetworkPolicies on a real Kubernetes: a chosen dozen of upstream's cases, and pods that kubelets start. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { AGNHOST_IMAGE } from '../images.ts';
import { inNode } from '../pods.ts';
import { until } from '../process.ts';
import { url, type World } from './world.ts';

/** Name, namespace, node, labels. */
type Place = readonly [name: string, namespace: string, node: string];

/** Of x all three nodes, of y two: pairs on one node and across, in and between namespaces. */
const PLACES: readonly Place[] = [
  ['a', 'pol-x', 'node1'],
  ['b', 'pol-x', 'node1'],
  ['c', 'pol-x', 'node2'],
  ['a', 'pol-y', 'node1'],
  ['b', 'pol-y', 'node3'],
];

const key = ([name, namespace]: Place): string => `${namespace.slice(-1)}/${name}`;

const podOf = ([name, namespace, nodeName]: Place): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace, labels: { pod: name } },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 1,
    containers: [80, 81].map(port => ({
      name: `serve-${port}`,
      image: AGNHOST_IMAGE,
      args: ['netexec', `--http-port=${port}`, `--udp-port=${port}`],
      ports: [{ name: `serve-${port}`, containerPort: port }],
    })),
  },
});

const namespaceOf = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { ns: name.slice(-1) } },
});

type Json = Readonly<Record<string, unknown>>;

const policy = (name: string, spec: Json, namespace = 'pol-x'): Json => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace },
  spec: { podSelector: {}, ...spec },
});

const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

const pod = (name: string): Json => ({ matchLabels: { pod: name } });
const ns = (name: string): Json => ({ matchLabels: { ns: name } });

/** All that the others answer to it, at once: a line `TARGET yes` or `TARGET no` each. */
const PROBE = `for target in "$@"; do
  ( if [ "$(curl -gsS -m1 "http://$target/hostname" 2>/dev/null)" ]; then echo "$target yes"; else echo "$target no"; fi ) &
done; wait`;

type Allowed = (from: string, to: string, port: number) => boolean;

type Dozen = readonly (readonly [
  name: string,
  policies: (ips: ReadonlyMap<string, readonly string[]>) => readonly Json[],
  allowed: Allowed,
])[];

const inX = (key: string): boolean => key.startsWith('x/');

const CASES: Dozen = [
  [
    "should support a 'default-deny-ingress' policy",
    () => [policy('p', { policyTypes: ['Ingress'] })],
    (_, to) => !inX(to),
  ],
  [
    "should support a 'default-deny-all' policy",
    () => [policy('p', { policyTypes: ['Ingress', 'Egress'] })],
    (from, to) => !inX(from) && !inX(to),
  ],
  [
    'should enforce policy to allow traffic from pods within server namespace based on PodSelector',
    () => [policy('p', { podSelector: pod('a'), ingress: [{ from: [{ podSelector: pod('b') }] }] })],
    (from, to) => to !== 'x/a' || from === 'x/b',
  ],
  [
    'should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector',
    () => [policy('p', { ingress: [{ from: [{ namespaceSelector: ns('y') }] }] })],
    (from, to) => !inX(to) || !inX(from),
  ],
  [
    'should enforce policy based on PodSelector and NamespaceSelector',
    () => [policy('p', { ingress: [{ from: [{ namespaceSelector: ns('y'), podSelector: pod('b') }] }] })],
    (from, to) => !inX(to) || from === 'y/b',
  ],
  [
    'should enforce policy based on Ports',
    () => [policy('p', { ingress: [{ ports: [{ port: 81 }] }] })],
    (_, to, port) => !inX(to) || port === 81,
  ],
  [
    'should allow ingress access on one named port',
    () => [policy('p', { ingress: [{ ports: [{ port: 'serve-80' }] }] })],
    (_, to, port) => !inX(to) || port === 80,
  ],
  [
    'should enforce multiple, stacked policies with overlapping podSelectors',
    () => [
      policy('p', { podSelector: pod('a'), ingress: [{ ports: [{ port: 80 }] }] }),
      policy('q', {
        podSelector: pod('a'),
        ingress: [{ from: [{ namespaceSelector: ns('y') }], ports: [{ port: 81 }] }],
      }),
    ],
    (from, to, port) => to !== 'x/a' || port === 80 || !inX(from),
  ],
  [
    'should deny egress from pods based on PodSelector',
    () => [policy('p', { podSelector: pod('a'), policyTypes: ['Egress'] })],
    from => from !== 'x/a',
  ],
  [
    'should enforce egress policy allowing traffic to a server in a different namespace based on PodSelector and NamespaceSelector',
    () => [
      policy('p', {
        policyTypes: ['Egress'],
        egress: [{ to: [{ namespaceSelector: ns('y'), podSelector: pod('b') }] }],
      }),
    ],
    (from, to) => !inX(from) || to === 'y/b',
  ],
  [
    'should enforce except clause while egress access to server in CIDR block',
    ips => {
      const except = (ips.get('x/b') ?? []).map(ip => `${ip}/${ip.includes(':') ? 128 : 32}`);
      const [v4 = '', v6 = ''] = except;
      const to = [
        { ipBlock: { cidr: '10.42.0.0/16', except: [v4] } },
        { ipBlock: { cidr: 'fd00:10:42::/56', except: [v6] } },
      ];
      return [policy('p', { podSelector: pod('a'), policyTypes: ['Egress'], egress: [{ to }] })];
    },
    (from, to) => from !== 'x/a' || to !== 'x/b',
  ],
  ['should stop enforcing policies after they are deleted', () => [], () => true],
];

export const policies = (world: () => World): void => {
  describe('NetworkPolicies', () => {
    let ips: ReadonlyMap<string, readonly string[]> = new Map();

    before(async () => {
      const { must } = world();
      await must(['apply', '-f', '-'], list(['pol-x', 'pol-y'].map(namespaceOf)));
      for (const name of ['pol-x', 'pol-y'])
        await must(['-n', name, 'wait', '--for=create', 'serviceaccount/default', '--timeout=30s']);
      await must(['apply', '-f', '-'], list(PLACES.map(podOf)));
      const entries = PLACES.map(async place => {
        const [name, namespace] = place;
        await must(['-n', namespace, 'wait', '--for=condition=Ready', '--timeout=90s', `pod/${name}`]);
        const text = await must([
          '-n',
          namespace,
          'get',
          'pod',
          name,
          '-o',
          'jsonpath={.status.podIPs[*].ip}',
        ]);
        return [key(place), text.split(' ')] as const;
      });
      ips = new Map(await Promise.all(entries));
    });

    after(async () => {
      await world().must(['delete', 'namespace', 'pol-x', 'pol-y', '--wait=false']);
    });

    /** `x/a→y/b:80`, those that pass, sorted. */
    const passing = async (): Promise<readonly string[]> => {
      const found = PLACES.map(async place => {
        const [name, namespace] = place;
        const targets = PLACES.filter(other => other !== place).flatMap(other =>
          [80, 81].flatMap(port =>
            (ips.get(key(other)) ?? []).map(ip => ({
              to: key(other),
              port,
              at: `${ip.includes(':') ? `[${ip}]` : ip}:${port}`,
            })),
          ),
        );
        const argv = ['bash', '-c', PROBE, 'bash', ...targets.map(target => target.at)];
        const said = await world().must(['-n', namespace, 'exec', name, '-c', 'serve-80', '--', ...argv]);
        const yes = new Set(
          said
            .split('\n')
            .filter(line => line.endsWith(' yes'))
            .map(line => line.split(' ')[0]),
        );
        return targets
          .filter(({ at }) => yes.has(at))
          .map(({ to, port, at }) => `${key(place)}→${to}:${port} ${at.startsWith('[') ? 6 : 4}`);
      });
      return (await Promise.all(found)).flat().sort();
    };

    const wanted = (allowed: Allowed): readonly string[] =>
      PLACES.flatMap(from =>
        PLACES.filter(to => to !== from).flatMap(to =>
          [80, 81].flatMap(port =>
            [4, 6].flatMap(family =>
              allowed(key(from), key(to), port) ? [`${key(from)}→${key(to)}:${port} ${family}`] : [],
            ),
          ),
        ),
      ).sort();

    for (const [name, policiesOf, allowed] of CASES)
      it(name, async () => {
        const { must } = world();
        const items = policiesOf(ips);
        await must(['-n', 'pol-x', 'delete', 'networkpolicy', '--all']);
        if (items.length > 0) await must(['apply', '-f', '-'], list(items));
        const right = wanted(allowed);
        let seen: readonly string[] = [];
        const holds = async (): Promise<boolean> => {
          seen = await passing();
          return isDeepStrictEqual(seen, right);
        };
        await until('the matrix to be right', 15_000, holds).catch(() => assert.deepEqual(seen, right));
      });

    it('lets the kubelet probe and nodes reach their own pods, whatever the policies', async () => {
      const { cluster, must } = world();
      await must(['apply', '-f', '-'], list([policy('closed', { policyTypes: ['Ingress', 'Egress'] })]));
      const probed = podOf(['probed', 'pol-x', 'node2']) as { spec: { containers: Json[] } };
      const [container] = probed.spec.containers;
      const readinessProbe = { httpGet: { path: '/hostname', port: 80 }, periodSeconds: 1 };
      await must(
        ['apply', '-f', '-'],
        JSON.stringify({
          ...probed,
          spec: { ...probed.spec, containers: [{ ...container, readinessProbe }] },
        }),
      );
      await must(['-n', 'pol-x', 'wait', '--for=condition=Ready', '--timeout=30s', 'pod/probed']);
      const ip = await must(['-n', 'pol-x', 'get', 'pod', 'probed', '-o', 'jsonpath={.status.podIP}']);
      await inNode(cluster, 'node2', ['curl', '-gsS', '-m5', url(ip, 80, 'hostname')]);
      const other = await cluster.exec('node1', ['curl', '-gsS', '-m1', url(ip, 80, 'hostname')]);
      assert.equal(other.code, 28, 'another node is not the pod’s own');
    });
  });
};
