/** The first ten points of the specification, about which policies and peers are meant, one test each; every line is asked of naive, evaluate, table and permits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import { permits } from '../../policy/permits.ts';
import type { Packet } from '../../policy/types.ts';
import { A, app, holds, OUTSIDE, PODS, podOf, policyOf, toA, worldWith, Y } from './small.ts';
import { toCluster } from './world.ts';

test('1: an empty podSelector, or none, is all pods of the namespace', () => {
  for (const spec of [{ podSelector: {} }, {}])
    holds(worldWith(PODS, [policyOf('x/p', spec)]), [
      ['x/a', 'x/b', 'TCP 80', false],
      ['y/a', 'x/c', 'TCP 80', false],
      ['x/a', 'y/a', 'TCP 80', true],
    ]);
});

test('2: policies add up, in any order', () => {
  const all = [
    policyOf('x/deny', { podSelector: {} }),
    policyOf('x/b', { podSelector: app('a'), ingress: [{ from: [{ podSelector: app('b') }] }] }),
    policyOf('x/c', { podSelector: app('a'), ingress: [{ from: [{ podSelector: app('c') }] }] }),
  ];
  for (const policies of [all, all.toReversed()])
    holds(worldWith(PODS, policies), [
      ['x/b', 'x/a', 'TCP 80', true],
      ['x/c', 'x/a', 'TCP 80', true],
      ['y/a', 'x/a', 'TCP 80', false],
    ]);
});

test('3: a pod is isolated in a direction only by policies of that type, and both ends must allow', () => {
  const egress = policyOf('x/out', {
    podSelector: app('b'),
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: app('a') }] }],
  });
  const ingress = policyOf('x/in', {
    podSelector: app('a'),
    ingress: [{ from: [{ podSelector: app('c') }] }],
  });
  holds(worldWith(PODS, [egress]), [
    ['x/b', 'x/a', 'TCP 80', true],
    ['x/b', 'y/a', 'TCP 80', false],
    ['y/a', 'x/b', 'TCP 80', true],
  ]);
  holds(worldWith(PODS, [egress, ingress]), [
    ['x/b', 'x/a', 'TCP 80', false],
    ['x/c', 'x/a', 'TCP 80', true],
    ['x/a', 'y/a', 'TCP 80', true],
  ]);
});

test('4: without policyTypes Ingress always, Egress only where there are egress rules', () => {
  const only = { from: [{ podSelector: app('b') }] };
  holds(worldWith(PODS, [toA({ egress: [] })]), [
    ['x/a', 'y/a', 'TCP 80', true],
    ['x/b', 'x/a', 'TCP 80', false],
  ]);
  holds(worldWith(PODS, [toA({ egress: [{ to: only.from }] })]), [
    ['x/a', 'y/a', 'TCP 80', false],
    ['x/a', 'x/b', 'TCP 80', true],
    ['x/b', 'x/a', 'TCP 80', false],
  ]);
  // Rules of a direction that policyTypes leaves out say nothing.
  holds(worldWith(PODS, [toA({ policyTypes: ['Egress'], ingress: [only], egress: [{}] })]), [
    ['y/a', 'x/a', 'TCP 80', true],
  ]);
});

test('5: no ingress rule denies all, one empty rule allows all', () => {
  for (const spec of [{}, { ingress: [] }])
    holds(worldWith(PODS, [toA(spec)]), [
      ['x/b', 'x/a', 'TCP 80', false],
      [OUTSIDE, 'x/a', 'ICMP', false],
    ]);
  holds(worldWith(PODS, [toA({ ingress: [{}] })]), [
    ['x/b', 'x/a', 'TCP 80', true],
    [OUTSIDE, 'x/a', 'UDP 53', true],
    [OUTSIDE, 'x/a', 'ICMP', true],
  ]);
});

test('6: no peers are all sources, also outside; no ports are all ports and protocols', () => {
  for (const from of [{}, { from: [] }])
    holds(worldWith(PODS, [toA({ ingress: [{ ...from, ports: [{ port: 80 }] }] })]), [
      [OUTSIDE, 'x/a', 'TCP 80', true],
      ['y/a', 'x/a', 'TCP 80', true],
      ['y/a', 'x/a', 'TCP 81', false],
      ['y/a', 'x/a', 'ICMP', false],
    ]);
  for (const ports of [{}, { ports: [] }])
    holds(worldWith(PODS, [toA({ ingress: [{ from: [{ podSelector: app('b') }], ...ports }] })]), [
      ['x/b', 'x/a', 'TCP 65535', true],
      ['x/b', 'x/a', 'SCTP 1', true],
      ['x/b', 'x/a', 'ICMP', true],
      [OUTSIDE, 'x/a', 'TCP 80', false],
    ]);
});

test('7: podSelector is of the own namespace, both in one item are AND, two items are OR', () => {
  const more = [...PODS, podOf('y/b', 14), podOf('z/b', 15)];
  const labels = { y: { team: 'red' }, z: { team: 'blue' } };
  const red = { matchLabels: { team: 'red' } };
  const from = (...peers: object[]) => worldWith(more, [toA({ ingress: [{ from: peers }] })], labels);
  holds(from({ podSelector: app('b') }), [
    ['x/b', 'x/a', 'TCP 80', true],
    ['y/b', 'x/a', 'TCP 80', false],
  ]);
  holds(from({ podSelector: {} }), [
    ['x/c', 'x/a', 'TCP 80', true],
    ['y/b', 'x/a', 'TCP 80', false],
  ]);
  holds(from({ namespaceSelector: red }), [
    ['y/a', 'x/a', 'TCP 80', true],
    ['y/b', 'x/a', 'TCP 80', true],
    ['z/b', 'x/a', 'TCP 80', false],
    ['x/b', 'x/a', 'TCP 80', false],
  ]);
  holds(from({ namespaceSelector: {} }), [
    ['x/b', 'x/a', 'TCP 80', true],
    ['z/b', 'x/a', 'TCP 80', true],
    [OUTSIDE, 'x/a', 'TCP 80', false],
  ]);
  holds(from({ namespaceSelector: red, podSelector: app('b') }), [
    ['y/b', 'x/a', 'TCP 80', true],
    ['y/a', 'x/a', 'TCP 80', false],
    ['z/b', 'x/a', 'TCP 80', false],
  ]);
  holds(from({ namespaceSelector: red }, { podSelector: app('b') }), [
    ['y/a', 'x/a', 'TCP 80', true],
    ['x/b', 'x/a', 'TCP 80', true],
    ['z/b', 'x/a', 'TCP 80', false],
    ['x/c', 'x/a', 'TCP 80', false],
  ]);
  const notRed = { matchExpressions: [{ key: 'team', operator: 'NotIn' as const, values: ['red'] }] };
  holds(from({ namespaceSelector: notRed }), [
    // A namespace without the label is not in it either.
    ['x/b', 'x/a', 'TCP 80', true],
    ['z/b', 'x/a', 'TCP 80', true],
    ['y/a', 'x/a', 'TCP 80', false],
  ]);
  const teamless = { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' as const }] };
  holds(from({ namespaceSelector: teamless }), [
    ['x/b', 'x/a', 'TCP 80', true],
    ['z/b', 'x/a', 'TCP 80', false],
  ]);
});

test('8: a namespace can be named by its label kubernetes.io/metadata.name', () => {
  const y = { matchLabels: { 'kubernetes.io/metadata.name': 'y' } };
  holds(worldWith(PODS, [toA({ ingress: [{ from: [{ namespaceSelector: y }] }] })]), [
    ['y/a', 'x/a', 'TCP 80', true],
    ['x/b', 'x/a', 'TCP 80', false],
  ]);
});

test('9: changes of labels, of namespaces and of policies take effect in a living compiler', () => {
  const compile = newCompiler();
  const policy = toA({
    ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'red' } }, podSelector: app('q') }] }],
  });
  const packet = { src: '10.42.1.13', dst: '10.42.0.10', protocol: 'TCP', port: 80 } as Packet;
  const at = (world: ReturnType<typeof worldWith>): boolean =>
    permits(compile(toCluster(world, 'n0')), packet);
  const q = podOf('y/a', 13, { node: 1, labels: { app: 'q' } });
  assert.equal(at(worldWith(PODS, [])), true, 'no policy');
  assert.equal(at(worldWith(PODS, [policy])), false, 'a policy');
  assert.equal(at(worldWith([A, q], [policy])), false, 'the pod has the label');
  assert.equal(at(worldWith([A, q], [policy], { y: { team: 'red' } })), true, 'and its namespace');
  assert.equal(at(worldWith([A, Y], [policy], { y: { team: 'red' } })), false, 'the pod has lost it');
  assert.equal(
    at(worldWith([podOf('x/a', 10, { labels: {} }), Y], [policy])),
    true,
    'the policy no longer selects it',
  );
  assert.equal(at(worldWith(PODS, [toA({ ingress: [] })])), false, 'another policy');
  assert.equal(at(worldWith(PODS, [])), true, 'deleted');
});

test('10: except takes from its own item alone, and networks match pods', () => {
  const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } });
  const from = (...peers: object[]) => worldWith(PODS, [toA({ ingress: [{ from: peers }] })]);
  holds(from(block('10.42.0.0/16', '10.42.1.11/32')), [
    ['y/a', 'x/a', 'TCP 80', true],
    ['x/b', 'x/a', 'TCP 80', false],
    [OUTSIDE, 'x/a', 'TCP 80', false],
  ]);
  holds(from(block('10.42.0.0/16', '10.42.1.11/32'), block('10.42.1.8/29')), [
    ['x/b', 'x/a', 'TCP 80', true],
  ]);
  holds(from(block('0.0.0.0/0', '10.0.0.0/8')), [
    [OUTSIDE, 'x/a', 'ICMP', true],
    ['y/a', 'x/a', 'TCP 80', false],
  ]);
});
