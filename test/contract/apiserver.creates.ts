/** Contract: create, and what is refused. */
import assert from 'node:assert/strict';
import { post } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const createCases: Cases = test => {
  test('create: 201, and what the server writes into it', async w => {
    const body = {
      metadata: { name: `${w.id}-a`, uid: 'mine', labels: { case: w.id } },
      spec: { podCIDRs: ['10.1.0.0/24'], podCIDR: '10.1.0.0/24' },
    };
    const answer = await post(w, NODES, body);
    assert.equal(answer.status, 201);
    const { kind, apiVersion, metadata, spec } = answer.json;
    assert.deepEqual([kind, apiVersion], ['Node', 'v1']);
    assert.match(metadata.uid, UID);
    assert.match(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(metadata.resourceVersion, /^[1-9]\d*$/);
    assert.deepEqual(spec.podCIDRs, ['10.1.0.0/24']);
    assert.deepEqual(await w.ok(`${NODES}/${w.id}-a`), answer.json);
    await w.remove(`${NODES}/${w.id}-a`);
    const again = await post(w, NODES, body);
    await w.remove(`${NODES}/${w.id}-a`);
    assert.notEqual(again.json.metadata.uid, metadata.uid, 'a name used again is another object');
  });

  test('create: a name that is taken', async w => {
    await w.node(`${w.id}-a`);
    assertStatus(await post(w, NODES, { metadata: { name: `${w.id}-a` } }), 409, 'AlreadyExists', {
      message: `nodes "${w.id}-a" already exists`,
      details: { name: `${w.id}-a`, kind: 'nodes' },
    });
  });

  test('create: a name made by the server', async w => {
    const path = configmaps(await w.namespace());
    const { metadata } = await w.create(path, { metadata: { generateName: 'some-' } });
    assert.match(metadata.name, /^some-[a-z0-9]{5}$/);
  });

  test('create: names that are none', async w => {
    const none = await post(w, NODES, { metadata: {} });
    assertStatus(none, 422, 'Invalid', {
      message: 'Node "" is invalid: metadata.name: Required value: name or generateName is required',
      details: {
        kind: 'Node',
        causes: [
          {
            reason: 'FieldValueRequired',
            message: 'Required value: name or generateName is required',
            field: 'metadata.name',
          },
        ],
      },
    });
    for (const name of ['Upper', 'under_score', '-a', 'a-', 'a..b', 'x'.repeat(254), 'a/b'])
      assertStatus(await post(w, NODES, { metadata: { name } }), 422, 'Invalid', {
        message: new RegExp(`^Node "${name}" is invalid: metadata.name: Invalid value`),
      });
  });

  test('create: bodies that are no object of the kind', async w => {
    assertStatus(await post(w, NODES, '{"metadata":'), 400, 'BadRequest');
    assertStatus(await post(w, NODES, '[]'), 400, 'BadRequest');
    assertStatus(
      await post(w, NODES, { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a' } }),
      400,
      'BadRequest',
    );
    assertStatus(
      await post(w, NODES, { metadata: { name: 'a' } }, 'text/plain'),
      415,
      'UnsupportedMediaType',
    );
    for (const metadata of [
      { annotations: { x: 1 } },
      { labels: { x: true } },
      { annotations: 'x' },
      { labels: [] },
    ])
      assertStatus(
        await post(w, NODES, { metadata: { name: `${w.id}-b`, ...metadata } }),
        400,
        'BadRequest',
        {
          message: /^Node in version "v1" cannot be handled as a Node: json: cannot unmarshal /,
        },
      );
    const versioned = await post(w, NODES, { metadata: { name: `${w.id}-b`, resourceVersion: '5' } });
    assert.equal(versioned.status, 500);
    assert.equal(versioned.json.message, 'resourceVersion should not be set on objects to be created');
  });

  test('create: namespaces that are missing, or others than the path’s', async w => {
    const namespace = await w.namespace();
    assertStatus(await post(w, configmaps(`${w.id}-none`), { metadata: { name: 'a' } }), 404, 'NotFound', {
      message: `namespaces "${w.id}-none" not found`,
      details: { name: `${w.id}-none`, kind: 'namespaces' },
    });
    const other = await post(w, configmaps(namespace), { metadata: { name: 'a', namespace: 'default' } });
    assertStatus(other, 400, 'BadRequest', {
      message: 'the namespace of the provided object does not match the namespace sent on the request',
    });
    assertStatus(
      await post(w, '/api/v1/configmaps', { metadata: { name: 'a', namespace } }),
      405,
      'MethodNotAllowed',
    );
  });
};
