/** Watches of policies, pods and namespaces against the embedded API server. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openClient } from '../../discovery/client.ts';
import { type Cluster, startCluster } from '../../discovery/cluster.ts';
import { parseSources, printSources, type Remembered } from '../../discovery/remembered.ts';
import { NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import { startApiServer } from '../apiserver/server.ts';
import { fastClock, memoryLog, pause, quick, temporaryFolder, until } from './helpers.ts';

const POLICY = {
  metadata: { name: 'deny' },
  spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
};

const pod = (name: string, nodeName: string, more: Record<string, unknown> = {}) => ({
  metadata: { name, labels: { app: name }, ...(more.metadata as object) },
  spec: { nodeName, containers: [{ name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 8080 }] }] },
});

async function setUp(t: TestContext) {
  const requests: string[] = [];
  const api = await startApiServer({ token: 'secret', log: line => requests.push(line) });
  const folder = temporaryFolder();
  const kubeconfig = join(folder.path, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig());
  const client = await openClient({ kubeconfig, timeoutMs: 2_000 });
  const log = memoryLog();
  const clusters: Cluster[] = [];
  const forbidden: string[] = [];
  const start = (initial?: Remembered): Cluster => {
    const cluster = startCluster({
      client,
      nodeName: 'a',
      log,
      clock: fastClock,
      limits: { ...quick, silenceMs: 2_000, headersMs: 1_000 },
      initial,
      onChange: () => {},
      forbidden: sentence => forbidden.push(sentence),
    });
    clusters.push(cluster);
    return cluster;
  };
  const policy = (name: string) =>
    api.store.create(NETWORKPOLICIES, 'default', { ...POLICY, metadata: { name } });
  const addPod = (name: string, node: string, status: Record<string, unknown> = {}, more = {}) => {
    api.store.create(PODS, 'default', pod(name, node, more));
    api.store.patch(PODS, 'default', name, { status: { phase: 'Running', ...status } }, 'status');
  };
  t.after(async () => {
    for (const cluster of clusters) await cluster.close();
    client.close();
    await api.stop();
    folder.remove();
  });
  return { api, start, log, requests, policy, addPod, forbidden };
}

const names = (pods: readonly { readonly name: string }[]): string =>
  pods
    .map(p => p.name)
    .sort()
    .join();

test('own pods always; all others and namespaces only while there is a policy', async t => {
  const { api, start, policy, addPod } = await setUp(t);
  addPod('mine', 'a', { podIPs: [{ ip: '10.42.0.7' }] });
  addPod('theirs', 'b', { podIPs: [{ ip: '10.42.1.7' }] });
  const cluster = start();
  assert.equal(cluster.known(), false);
  await until(() => cluster.synced(), 'the lists');
  assert.ok(cluster.known());
  assert.equal(names(cluster.objects().ownPods.map(one => one.pod)), 'mine');
  assert.deepEqual(Object.keys(cluster.report()), ['networkpolicies', 'ownPods']);
  policy('deny');
  await until(() => cluster.objects().otherPods.length > 0 && cluster.synced(), 'the other pods');
  assert.equal(names(cluster.objects().otherPods), 'theirs');
  assert.ok(cluster.objects().namespaces.some(one => one.name === 'kube-system'));
  const [own] = cluster.objects().ownPods;
  assert.deepEqual(own?.pod.ips, ['10.42.0.7']);
  assert.deepEqual(own?.pod.ports, [{ name: 'web', protocol: 'TCP', port: 8080 }]);
  api.store.remove(NETWORKPOLICIES, 'default', 'deny');
  await until(() => cluster.objects().otherPods.length === 0, 'the other pods to be let go');
  assert.deepEqual(cluster.objects().namespaces, []);
  assert.equal(names(cluster.objects().ownPods.map(one => one.pod)), 'mine');
});

test('pods that end, move and are not scheduled; static pods are called as the runtime calls them', async t => {
  const { api, start, policy, addPod } = await setUp(t);
  policy('deny');
  addPod('running', 'b', { podIPs: [{ ip: '10.42.1.1' }] });
  addPod('ended', 'b', { podIPs: [{ ip: '10.42.1.2' }], phase: 'Succeeded' });
  addPod('nowhere', '');
  addPod('static', 'a', {}, { metadata: { annotations: { 'kubernetes.io/config.hash': 'abc' } } });
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  assert.equal(names(cluster.objects().otherPods), 'running');
  assert.equal(cluster.objects().ownPods[0]?.runtimeUid, 'abc');
  api.store.patch(PODS, 'default', 'running', { status: { phase: 'Failed' } }, 'status');
  await until(() => cluster.objects().otherPods.length === 0, 'the pod that ended to be gone');
});

test('what did not change stays the same object', async t => {
  const { api, start, policy, addPod } = await setUp(t);
  policy('one');
  addPod('x', 'b', { podIPs: [{ ip: '10.42.1.1' }] });
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  const before = cluster.objects();
  // What is not kept changes nothing.
  api.store.patch(PODS, 'default', 'x', { metadata: { annotations: { a: 'b' } } }, 'main');
  policy('two');
  await until(() => cluster.objects().policies.length === 2, 'the second policy');
  await pause(20);
  assert.equal(cluster.objects().otherPods, before.otherPods);
  assert.ok(cluster.objects().policies.includes(before.policies[0] as (typeof before.policies)[0]));
});

test('what is written to disk is read back, and is enough without the API server', async t => {
  const { api, start, policy, addPod } = await setUp(t);
  policy('deny');
  addPod('mine', 'a', { podIPs: [{ ip: '10.42.0.7' }, { ip: 'fd42::7' }] });
  addPod('theirs', 'b', { podIPs: [{ ip: '10.42.1.7' }] });
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  const { policies, namespaces, ownPods, otherPods } = cluster.sources();
  const read = parseSources(printSources({ policies, namespaces }), printSources({ ownPods, otherPods }));
  assert.ok(read.ok);
  await api.stop();
  const again = start(read.value);
  assert.ok(again.known());
  assert.equal(again.synced(), false);
  assert.deepEqual(again.objects(), cluster.objects());
  await api.start();
  await until(() => again.synced(), 'the lists after the start');
  assert.deepEqual(
    again.objects().policies.map(p => p.key),
    ['default/deny'],
  );
});

test('a damaged file says why', () => {
  for (const text of ['', '{', '{"version":2}', 'null', '[]'])
    assert.equal(parseSources(text, undefined).ok, false);
  assert.equal(parseSources('{"version":1}', 'x').ok, false);
  assert.ok(parseSources('{"version":1,"policies":[3,{"metadata":{}}]}', undefined).ok);
});

test('a list that has lost its policies is held until a second one says the same', async t => {
  const { api, start, policy } = await setUp(t);
  for (const name of ['one', 'two', 'three']) policy(name);
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  await api.stop();
  for (const name of ['one', 'two', 'three']) api.store.remove(NETWORKPOLICIES, 'default', name);
  api.store.forget();
  await api.start();
  await until(
    () =>
      cluster.report().networkpolicies?.connected === true &&
      cluster.report().networkpolicies?.restarts !== 0,
    'the list',
  );
  assert.equal(cluster.objects().policies.length, 3);
  await until(() => cluster.objects().policies.length === 0, 'the second list');
});

test('namespaces in metadata only, pages small', async t => {
  const { start, policy, requests } = await setUp(t);
  policy('deny');
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  assert.ok(
    requests.some(line => line.includes('limit=100')),
    requests.join('\n'),
  );
});

test('what the API server refuses is said in the same words each time, and what is known holds', async t => {
  const { api, start, policy, forbidden } = await setUp(t);
  policy('deny');
  const cluster = start();
  await until(() => cluster.synced(), 'the lists');
  api.order({ status: 403, only: { path: /networkpolicies/ } });
  api.dropWatches();
  await until(() => forbidden.length > 2, 'the refusal to be said');
  assert.deepEqual(
    [...new Set(forbidden)],
    [
      'The API server does not let weft list or watch NetworkPolicies (/apis/networking.k8s.io/v1/networkpolicies): the policies that are known stay in force, and what changes is not learnt. Apply weft’s manifests again: their ClusterRole weft and its binding grant it',
    ],
  );
  assert.ok(cluster.known());
  assert.equal(cluster.objects().policies.length, 1);
  // Right again.
  api.order({});
  policy('second');
  await until(() => cluster.objects().policies.length === 2, 'the second policy');
  api.order({ status: 403, only: { path: /pods/ } });
  const said = forbidden.length;
  const late = start();
  await until(() => forbidden.slice(said).some(text => text.includes('Pods of this node')), 'the pods');
  assert.equal(late.known(), false, 'who knows nothing holds the table of before');
});
