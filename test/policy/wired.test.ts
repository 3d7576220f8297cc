/** Own pods by lease: what the API says and what the node knows, put together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../policy/types.ts';
import { newOwnPods, type Shown, type Wired } from '../../policy/wired.ts';
import type { Ip } from '../../types.ts';
import { podObject, toPod } from './clusters.ts';

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
