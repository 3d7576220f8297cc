/** The whole of discovery against etcd and kube-apiserver themselves. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openClient } from '../../discovery/client.ts';
import { startDiscovery } from '../../discovery/discovery.ts';
import { generateKey } from '../../mesh/key.ts';
import type { Endpoint } from '../../types.ts';
import { type ControlPlane, startControlPlane } from '../cluster/api.ts';
import { clusterUnavailable } from '../cluster/packages.ts';
import { fastClock, memoryLog, quick, temporaryFolder, until } from './helpers.ts';

const NODES = '/api/v1/nodes';
const LONG_MS = 60_000;

/** A Node as a kubelet registers it, and as the controller manager then gives it podCIDRs. */
async function makers(plane: ControlPlane) {
  const client = await openClient({ kubeconfig: plane.kubeconfig });
  const register = async (name: string) => {
    await client.post(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: '192.168.1.7' }] },
    });
  };
  const giveCidrs = (name: string, ...podCIDRs: string[]) =>
    client.patch(`${NODES}/${name}`, { spec: { podCIDR: podCIDRs[0], podCIDRs } });
  const annotate = (name: string, annotations: Record<string, string | null>) =>
    client.patch(`${NODES}/${name}`, { metadata: { annotations } });
  return { client, register, giveCidrs, annotate };
}

async function setUp(t: TestContext) {
  const plane = await startControlPlane();
  const folder = temporaryFolder();
  const made = await makers(plane);
  const client = await openClient({ kubeconfig: plane.kubeconfig, timeoutMs: 5_000 });
  const log = memoryLog();
  const discovery = await startDiscovery({
    client,
    nodeName: 'a',
    stateDir: join(folder.path, 'state'),
    log,
    onChange: () => {},
    clock: fastClock,
    limits: { ...quick, pageSize: 2, backoff: { firstMs: 50, maxMs: 500 } },
  });
  t.after(async () => {
    await discovery.close();
    client.close();
    made.client.close();
    await plane.stop();
    folder.remove();
  });
  const fact = (name: string) => discovery.facts().find(f => f.name === name);
  return { plane, discovery, log, fact, ...made };
}

const skip = clusterUnavailable(['kubernetes']) ?? false;

test('Nodes, podCIDRs, publication, Events, a compaction and a kill -9 of the server', { skip }, async t => {
  const { plane, discovery, log, fact, client, register, giveCidrs, annotate } = await setUp(t);

  await t.test('Nodes appear, their podCIDRs a moment later', async () => {
    for (const name of ['a', 'b', 'c']) await register(name);
    await until(() => discovery.facts().length === 3, 'three Nodes', LONG_MS);
    assert.deepEqual(fact('b')?.podCidrs, []);
    await giveCidrs('a', '10.42.0.0/24', 'fd42::/64');
    await giveCidrs('b', '10.42.1.0/24', 'fd42:0:0:1::/64');
    await until(
      () => fact('b')?.podCidrs.length === 2 && fact('a')?.podCidrs.length === 2,
      'podCIDRs',
      LONG_MS,
    );
    await until(() => discovery.own()?.addresses.internal[0] === '192.168.1.7', 'own addresses', LONG_MS);
  });

  const publicKey = generateKey().publicKey;
  const endpoints = [{ t: 'host' as const, a: '192.168.1.7:51820' as Endpoint }];

  await t.test('what is published is read back, and then nothing more is written', async () => {
    discovery.publish({ publicKey, endpoints });
    await until(() => fact('a')?.publicKey === publicKey, 'our key', LONG_MS);
    assert.deepEqual(fact('a')?.endpoints, endpoints);
    const version = async () =>
      ((await client.get(`${NODES}/a`)) as { metadata: { resourceVersion: string } }).metadata
        .resourceVersion;
    const before = await version();
    for (let n = 0; n < 10; n += 1) discovery.publish({ publicKey, endpoints: [...endpoints] });
    await annotate('b', { 'weft.network/location': 'home' });
    await until(() => fact('b')?.location === 'home', 'the location of b', LONG_MS);
    assert.equal(await version(), before);
  });

  await t.test('a bad value is an Event that the server keeps', async () => {
    await annotate('a', { 'weft.network/persistent-keepalive': 'often' });
    const events = async () =>
      (
        (await client.get('/api/v1/namespaces/default/events')) as {
          items: { reason: string; message: string; involvedObject: { uid: string } }[];
        }
      ).items.filter(event => event.reason === 'InvalidAnnotation');
    let found = await events();
    for (let n = 0; found.length === 0 && n < 200; n += 1) {
      await new Promise(resolve => setTimeout(resolve, 50));
      found = await events();
    }
    assert.match(found[0]?.message ?? '', /persistent-keepalive="often"/);
    assert.equal(found[0]?.involvedObject.uid, fact('a')?.uid);
  });

  await t.test('removed annotations and Nodes are gone', async () => {
    await annotate('b', { 'weft.network/location': null });
    await plane.kubectl(['delete', 'node', 'c']);
    await until(() => fact('b')?.location === undefined && fact('c') === undefined, 'both', LONG_MS);
  });

  await t.test('over a compaction and a kill -9 the facts stay, and what happened comes after', async () => {
    await plane.killServer();
    await until(() => !discovery.state().connected, 'the loss', LONG_MS);
    assert.equal(discovery.facts().length, 2);
    await plane.startServer();
    await plane.compact();
    await register('d');
    await giveCidrs('d', '10.42.3.0/24');
    await until(() => fact('d')?.podCidrs[0] === '10.42.3.0/24', 'd', LONG_MS);
    await until(() => discovery.state().connected, 'the watch', LONG_MS);
    assert.equal(fact('a')?.publicKey, publicKey);
    const errors = log.lines.filter(line => line.level === 'error');
    assert.deepEqual(errors, []);
  });
});
