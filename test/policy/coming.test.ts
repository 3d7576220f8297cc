/** Pods that the API shows before a runtime makes them: their classes are there when they come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import { diff, placing } from '../../policy/diff.ts';
import { placed, placeFor } from '../../policy/place.ts';
import type { Cluster, Pod } from '../../policy/types.ts';
import type { Ip } from '../../types.ts';
import { podObject, toPod, toPolicy } from './clusters.ts';

const DENY = toPolicy({
  metadata: { namespace: 'x', name: 'deny' },
  spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
});

const clusterOf = (pods: readonly Pod[], gateways = ['10.42.1.1', 'fd42:0:0:1::1']): Cluster => ({
  self: 'node1',
  policies: [DENY],
  pods,
  namespaces: [],
  nodes: [{ name: 'node1', addresses: [], gateways: gateways as Ip[] }],
  unknown: [],
});

const pod = (name: string, node: string, ips: readonly string[] = []): Pod =>
  toPod(podObject('x', name, node, ips));

test('a pod that is to come has its class, and no address of anybody’s is bound for it', () => {
  const rules = newCompiler()(clusterOf([pod('a', 'node1')]));
  assert.equal(rules.chains.size, 1);
  assert.deepEqual([rules.ingress.size, rules.egress.size, rules.own.size], [0, 0, 0]);
});

test('when it comes only elements change, also where it is the first of its class', () => {
  const compile = newCompiler();
  const before = compile(clusterOf([pod('a', 'node1')]));
  const after = compile(clusterOf([pod('a', 'node1', ['10.42.1.2', 'fd42:0:0:1::2'])]));
  assert.deepEqual([...after.ingress.keys()], ['10.42.1.2', 'fd42:0:0:1::2']);
  const kinds = new Set(diff(before, after).map(operation => operation.kind));
  assert.deepEqual(kinds, new Set(['bind', 'addElements']));
});

test('nothing is made for pods of other nodes, nor while this node’s families are not known', () => {
  assert.equal(newCompiler()(clusterOf([pod('a', 'node2')])).chains.size, 0);
  const compile = newCompiler();
  const pods = [pod('a', 'node1')];
  assert.equal(compile(clusterOf(pods, [])).chains.size, 0);
  assert.equal(compile(clusterOf(pods)).chains.size, 1, 'and then it is');
});

test('a class whose last pod is no longer to come goes', () => {
  const compile = newCompiler();
  compile(clusterOf([pod('a', 'node1')]));
  assert.equal(compile(clusterOf([])).chains.size, 0);
});

const IPS = ['10.42.1.2' as Ip, 'fd42:0:0:1::2' as Ip];
const OTHERS = ['10.42.1.3' as Ip, 'fd42:0:0:1::3' as Ip];

test('who is put into its place is bound as a run binds it', () => {
  const compile = newCompiler();
  const shown = pod('a', 'node1');
  const before = compile(clusterOf([shown]));
  const bound = placeFor(before, shown, IPS);
  assert.ok(bound);
  const after = compile(clusterOf([{ ...shown, ips: IPS }]));
  const now = placed(before, IPS, bound);
  for (const part of ['ingress', 'egress', 'own'] as const) assert.deepEqual(now[part], after[part]);
  const binds = diff(before, after).filter(({ kind }) => kind === 'bind' || kind === 'addElements');
  assert.deepEqual(new Set(placing(IPS, bound)), new Set(binds));
});

test('nobody has a place who is not awaited so, or whose address is bound', () => {
  const compile = newCompiler();
  const [a, b] = [pod('a', 'node1'), pod('b', 'node1')];
  const rules = compile(clusterOf([a, { ...b, ips: IPS }]));
  assert.equal(placeFor(rules, a, IPS), undefined, 'another’s address');
  assert.equal(placeFor(rules, a, ['10.42.1.3' as Ip]), undefined, 'one family of two');
  assert.equal(placeFor(rules, b, OTHERS), undefined, 'it is there already');
  assert.equal(placeFor(rules, { ...a }, OTHERS), undefined, 'changed since');
  assert.ok(placeFor(rules, a, OTHERS));
});
