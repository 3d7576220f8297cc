/** Contract: update, status, generation, delete. */
import assert from 'node:assert/strict';
import { type Any, CONFLICT, patch, policies, put } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, NODES } from './apiserver.world.ts';

export const writeCases: Cases = test => {
  test('update: whole, with the version or without; a stale one is a conflict', async w => {
    const path = `${NODES}/${w.id}-a`;
    const first = await w.node(`${w.id}-a`, { metadata: { annotations: { a: '1' } } });
    const { annotations: _, ...metadata } = first.metadata;
    const second = await put(w, path, { ...first, metadata });
    assert.equal(second.status, 200);
    assert.equal('annotations' in second.json.metadata, false);
    assert.equal(second.json.metadata.uid, first.metadata.uid);
    assert.equal(second.json.metadata.creationTimestamp, first.metadata.creationTimestamp);
    assertStatus(await put(w, path, first), 409, 'Conflict', CONFLICT(`${w.id}-a`));
    const bare = await put(w, path, { metadata: { name: `${w.id}-a`, labels: { case: w.id } } });
    assert.equal(bare.status, 200, bare.text);
    assertStatus(await put(w, path, { metadata: { name: 'other' } }), 400, 'BadRequest', {
      message: `the name of the object (other) does not match the name on the URL (${w.id}-a)`,
    });
    assertStatus(
      await put(w, `${NODES}/${w.id}-none`, { metadata: { name: `${w.id}-none` } }),
      404,
      'NotFound',
    );
    const uid = 'b1a8be48-86f9-4066-acc4-fe1b02ac8b72';
    assertStatus(await put(w, path, { metadata: { name: `${w.id}-a`, uid } }), 409, 'Conflict');
  });

  test('status is written by its own path only, and nothing but status and metadata by it', async w => {
    const path = `${NODES}/${w.id}-a`;
    const { status, spec } = await w.node(`${w.id}-a`);
    const addresses = [{ type: 'InternalIP', address: '192.0.2.7' }];
    const main = await w.patch(path, { status: { addresses }, metadata: { annotations: { x: '1' } } });
    assert.deepEqual(main.status, status);
    const body = {
      status: { addresses },
      spec: { unschedulable: true },
      metadata: { annotations: { y: '1' } },
    };
    const written = await w.patch(`${path}/status`, body);
    assert.deepEqual(written.status, { ...status, addresses });
    assert.deepEqual(written.spec, spec);
    assert.deepEqual(written.metadata.annotations, { x: '1', y: '1' });
    assert.deepEqual(await w.ok(`${path}/status`), await w.ok(path));
  });

  test('status: a strategic patch of one condition leaves the others', async w => {
    const path = `${NODES}/${w.id}-a`;
    await w.node(`${w.id}-a`);
    const one = (type: string, status: string) => ({ type, status, reason: 'A', message: 'b' });
    const strategic = (...conditions: readonly object[]) =>
      patch(w, `${path}/status`, { status: { conditions } }, 'application/strategic-merge-patch+json');
    assert.equal((await strategic(one('Ready', 'True'), one('Other', 'True'))).status, 200);
    assert.equal((await strategic({ type: 'Other', status: 'False' })).status, 200);
    const { status } = (await w.ok(path)) as Any;
    const said = status.conditions.map((c: Any) => `${c.type} ${c.status} ${c.reason}`);
    assert.deepEqual(said.sort(), ['Other False A', 'Ready True A']);
  });

  test('generation: for policies it counts changes of the spec, Nodes have none', async w => {
    const path = policies(await w.namespace());
    const made = await w.create(path, { metadata: { name: 'p' }, spec: { podSelector: {} } });
    assert.equal(made.metadata.generation, 1);
    assert.deepEqual(made.spec, { podSelector: {}, policyTypes: ['Ingress'] });
    const labelled = await w.patch(`${path}/p`, { metadata: { labels: { a: 'b' } } });
    assert.equal(labelled.metadata.generation, 1);
    const changed = await w.patch(`${path}/p`, { spec: { policyTypes: ['Egress'] } });
    assert.equal(changed.metadata.generation, 2);
    const node = await w.node(`${w.id}-a`);
    assert.equal('generation' in node.metadata, false);
  });

  test('delete: a Status that names what is gone; then it is gone', async w => {
    const { metadata } = await w.node(`${w.id}-a`);
    const answer = await w.bed.call(`${NODES}/${w.id}-a`, { method: 'DELETE' });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name: `${w.id}-a`, kind: 'nodes', uid: metadata.uid },
    });
    for (const method of ['GET', 'DELETE'])
      assertStatus(await w.bed.call(`${NODES}/${w.id}-a`, { method }), 404, 'NotFound', {
        message: `nodes "${w.id}-a" not found`,
        details: { name: `${w.id}-a`, kind: 'nodes' },
      });
    const path = policies(await w.namespace());
    await w.create(path, { metadata: { name: 'p' }, spec: { podSelector: {} } });
    const { details } = await w.remove(`${path}/p`);
    assert.deepEqual(
      { ...details, uid: '' },
      { name: 'p', group: 'networking.k8s.io', kind: 'networkpolicies', uid: '' },
    );
    assertStatus(await w.bed.call(`${path}/p`), 404, 'NotFound', {
      message: 'networkpolicies.networking.k8s.io "p" not found',
      details: { name: 'p', group: 'networking.k8s.io', kind: 'networkpolicies' },
    });
  });

  test('delete: only the object that is meant', async w => {
    const { metadata } = await w.node(`${w.id}-a`);
    const remove = (preconditions: Any) =>
      w.bed.call(`${NODES}/${w.id}-a`, { method: 'DELETE', body: { preconditions } });
    assertStatus(await remove({ uid: 'b1a8be48-86f9-4066-acc4-fe1b02ac8b72' }), 409, 'Conflict');
    assertStatus(await remove({ resourceVersion: '1' }), 409, 'Conflict');
    assert.equal(
      (await remove({ uid: metadata.uid, resourceVersion: metadata.resourceVersion })).status,
      200,
    );
  });

  test('delete: a Pod on a node first gets a time to end, one without goes at once', async w => {
    const namespace = await w.namespace();
    await w.bed.admitPods(namespace);
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const spec = { containers: [{ name: 'c', image: 'example.org/i' }] };
    const bound = await w.create(path, { metadata: { name: 'bound' }, spec: { ...spec, nodeName: 'node1' } });
    await w.create(path, { metadata: { name: 'free' }, spec });
    const watch = await w.watch(`${path}?watch=true&resourceVersion=${await w.version(path)}`);
    const leaving = await w.remove(`${path}/bound`);
    assert.equal(leaving.kind, 'Pod');
    assert.ok(leaving.metadata.deletionTimestamp > bound.metadata.creationTimestamp);
    assert.equal(leaving.metadata.deletionGracePeriodSeconds, 30);
    const event = await watch.next();
    assert.equal(event.type, 'MODIFIED');
    assert.deepEqual(event.object, leaving);
    assert.equal(
      (await w.remove(`${path}/bound?gracePeriodSeconds=0`)).metadata.deletionGracePeriodSeconds,
      0,
    );
    const types: string[] = [];
    for (let type = ''; type !== 'DELETED'; types.push(type)) type = (await watch.next()).type;
    assertStatus(await w.bed.call(`${path}/bound`), 404, 'NotFound');
    await w.remove(`${path}/free`);
    assertStatus(await w.bed.call(`${path}/free`), 404, 'NotFound');
  });
};
