/** Own pods by lease: what the API says and what the node knows, put together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import type { Pod, RuleSet } from '../../policy/types.ts';
import { newOwnPods, type Shown, type Wired } from '../../policy/wired.ts';
import type { Ip } from '../../types.ts';
import { podObject, toPod, toPolicy } from './clusters.ts';

const shown = (name: string, ips: readonly string[] = [], runtimeUid = `x-${name}`): Shown => ({
  pod: toPod(podObject('x', name, 'node1', ips)),
  runtimeUid,
});

const wired = (name: string, ips: readonly string[], uid = `x-${name}`): Wired => ({
  ips: ips as readonly Ip[],
  pod: { namespace: 'x', name, uid },
});

const ipsOf = (pods: readonly Pod[]): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(pods.map(pod => [pod.name, pod.ips]));

test('a lease tells the address before the API does', () => {
  const { pods, unknown } = newOwnPods()([wired('a', ['10.42.1.2', 'fd42::2'])], [shown('a')]);
  assert.deepEqual(ipsOf(pods), { a: ['10.42.1.2', 'fd42::2'] });
  assert.deepEqual(unknown, []);
});

test('who is not shown is unknown; who is no pod is not spoken of', () => {
  const { pods, unknown } = newOwnPods()(
    [wired('a', ['10.42.1.2']), { ips: ['10.42.1.3' as Ip], pod: undefined }],
    [],
  );
  assert.deepEqual(pods, []);
  assert.deepEqual(unknown, ['10.42.1.2']);
});

test('a static pod is found by its config hash, a pod without UID by its name', () => {
  const own = newOwnPods();
  const { pods, unknown } = own(
    [wired('static', ['10.42.1.2'], 'hash'), wired('nameless', ['10.42.1.3'], '')],
    [shown('static', [], 'hash'), shown('nameless')],
  );
  assert.deepEqual(ipsOf(pods), { static: ['10.42.1.2'], nameless: ['10.42.1.3'] });
  assert.deepEqual(unknown, []);
});

test('a pod of the same name and another UID is another pod', () => {
  const { pods, unknown } = newOwnPods()([wired('a', ['10.42.1.2'], 'new')], [shown('a', ['10.42.1.9'])]);
  assert.deepEqual(ipsOf(pods), { a: ['10.42.1.9'] });
  assert.deepEqual(unknown, ['10.42.1.2']);
});

test('a pod whose object is gone keeps its policies as long as its lease', () => {
  const own = newOwnPods();
  const lease = wired('a', ['10.42.1.2']);
  const [before] = own([lease], [shown('a')]).pods;
  const after = own([lease], []);
  assert.equal(after.pods[0], before);
  assert.deepEqual(after.unknown, []);
  assert.deepEqual(own([], []).pods, []);
  // The next holder of the address is somebody else.
  assert.deepEqual(own([wired('b', ['10.42.1.2'])], []).unknown, ['10.42.1.2']);
});

test('what the API still says of an earlier sandbox is not believed', () => {
  const { pods } = newOwnPods()(
    [wired('b', ['10.42.1.2'])],
    [shown('a', ['10.42.1.2']), shown('b', ['10.42.1.7'])],
  );
  assert.deepEqual(ipsOf(pods), { a: [], b: ['10.42.1.2'] });
});

test('pods that did not change are the same objects', () => {
  const own = newOwnPods();
  const all = [shown('a'), shown('b', ['10.42.1.2'])];
  const leases = [wired('a', ['10.42.1.2'])];
  const first = own(leases, all).pods;
  const second = own(leases, all).pods;
  for (const [n, pod] of first.entries()) assert.equal(second[n], pod);
});

const CLOSED = toPolicy({ metadata: { namespace: 'x', name: 'closed' }, spec: { podSelector: {} } });

const closed = (pods: readonly Pod[]): RuleSet =>
  newCompiler()({ self: 'node1', policies: [CLOSED], pods, namespaces: [], nodes: [], unknown: [] });

test('a pod that still ends is isolated beside the next one of its name, here or on another node', () => {
  const own = newOwnPods();
  const last = wired('a', ['10.42.1.2'], 'last');
  own([last], [shown('a', [], 'last')]);
  const next = { ...shown('a', ['10.42.1.3'], 'next').pod, uid: 'next' };
  const here = own([last, wired('a', ['10.42.1.3'], 'next')], [{ pod: next, runtimeUid: 'next' }]);
  assert.deepEqual([...closed(here.pods).ingress.keys()].sort(), ['10.42.1.2', '10.42.1.3']);
  const there = { ...next, node: 'node2', ips: ['10.42.2.3' as Ip] };
  const { pods } = own([last], []);
  assert.deepEqual([...closed([...pods, there]).ingress.keys()], ['10.42.1.2']);
});

test('two wires of one pod are isolated alike', () => {
  const { pods } = newOwnPods()(
    [wired('a', ['10.42.1.2', 'fd42::2']), wired('a', ['10.42.1.3', 'fd42::3'])],
    [shown('a', ['10.42.1.2', 'fd42::2'])],
  );
  assert.deepEqual([...closed(pods).ingress.keys()].sort(), ['10.42.1.2', '10.42.1.3', 'fd42::2', 'fd42::3']);
});

test('without UIDs a pod of another namespace with the same name and address is another pod', () => {
  const own = newOwnPods();
  own([wired('a', ['10.42.1.2'], '')], [shown('a')]);
  const other = { ips: ['10.42.1.2' as Ip], pod: { namespace: 'y', name: 'a', uid: '' } };
  assert.deepEqual(own([other], [shown('a')]).unknown, ['10.42.1.2']);
});
