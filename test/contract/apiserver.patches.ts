/** Contract: merge patch, and what is refused. */
import assert from 'node:assert/strict';
import { AS_OBJECT, MERGE } from './apiserver.bed.ts';
import { type Any, CONFLICT, patch } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, NODES } from './apiserver.world.ts';

export const patchCases: Cases = test => {
  test('merge patch: sets, changes, removes, leaves the rest', async w => {
    const path = `${NODES}/${w.id}-a`;
    const node = await w.node(`${w.id}-a`, {
      metadata: { annotations: { keep: '1', change: '1', remove: '1' } },
    });
    const answer = await patch(w, path, {
      metadata: { annotations: { change: '2', remove: null, add: '1', none: null } },
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json.metadata.annotations, { keep: '1', change: '2', add: '1' });
    assert.ok(Number(answer.json.metadata.resourceVersion) > Number(node.metadata.resourceVersion));
    const { annotations: _a, resourceVersion: _v, ...rest } = answer.json.metadata;
    const { annotations: _b, resourceVersion: _w, ...before } = node.metadata;
    assert.deepEqual(rest, before);
    assert.deepEqual(await w.ok(path), answer.json);
    const none = await patch(w, path, { metadata: { annotations: null } });
    assert.equal('annotations' in none.json.metadata, false);
    assert.deepEqual(none.json.metadata.labels, { case: w.id });
  });

  test('merge patch: answered with metadata alone where that is asked for', async w => {
    await w.node(`${w.id}-a`);
    const call = {
      method: 'PATCH',
      contentType: MERGE,
      body: { metadata: { annotations: { x: '1' } } },
      accept: AS_OBJECT,
    };
    const { json } = await w.bed.call(`${NODES}/${w.id}-a`, call);
    assert.equal(json.kind, 'PartialObjectMetadata');
    assert.deepEqual(json.metadata.annotations, { x: '1' });
    assert.equal('spec' in json, false);
  });

  test('merge patch: with the right version it is done, with another refused', async w => {
    const path = `${NODES}/${w.id}-a`;
    const { metadata } = await w.node(`${w.id}-a`);
    const at = (resourceVersion: string, x: string) => ({
      metadata: { resourceVersion, annotations: { x } },
    });
    assert.equal((await patch(w, path, at(metadata.resourceVersion, '1'))).status, 200);
    const refused = await patch(w, path, at(metadata.resourceVersion, '2'));
    assertStatus(refused, 409, 'Conflict', CONFLICT(`${w.id}-a`));
    assert.deepEqual((await w.ok(path)).metadata.annotations, { x: '1' });
  });

  test('merge patch: nothing there, nothing readable, nothing known', async w => {
    assertStatus(await patch(w, `${NODES}/${w.id}-none`, {}), 404, 'NotFound', {
      message: `nodes "${w.id}-none" not found`,
      details: { name: `${w.id}-none`, kind: 'nodes' },
    });
    const path = `${NODES}/${w.id}-a`;
    const node = await w.node(`${w.id}-a`);
    assertStatus(await patch(w, path, '{"metadata":'), 400, 'BadRequest');
    assertStatus(await patch(w, path, '[]'), 400, 'BadRequest');
    assertStatus(await patch(w, path, '"x"'), 400, 'BadRequest');
    assertStatus(await patch(w, path, {}, 'text/plain'), 415, 'UnsupportedMediaType');
    assertStatus(await patch(w, path, {}, 'application/json'), 415, 'UnsupportedMediaType');
    assertStatus(await patch(w, path, { metadata: { name: 'other' } }), 400, 'BadRequest', {
      message: `the name of the object (other) does not match the name on the URL (${w.id}-a)`,
    });
    assertStatus(
      await patch(w, path, { metadata: { uid: 'b1a8be48-86f9-4066-acc4-fe1b02ac8b72' } }),
      422,
      'Invalid',
    );
    assert.deepEqual(await w.ok(path), node);
  });

  test('annotations are text, their keys are qualified names, all of them 256 KiB', async w => {
    const path = `${NODES}/${w.id}-a`;
    const node = await w.node(`${w.id}-a`);
    const annotate = (annotations: Any) => patch(w, path, { metadata: { annotations } });
    for (const value of [1, true, ['x'], { x: 'y' }])
      assertStatus(await annotate({ 'weft.network/x': value }), 422, 'Invalid', {
        message: /^ "" is invalid: patch: Invalid value: .*json: cannot unmarshal /s,
      });
    assertStatus(await annotate('x'), 422, 'Invalid');
    for (const key of ['bad key', '/x', 'weft.network/', 'a/b/c', '-x', 'x'.repeat(64), ''])
      assertStatus(await annotate({ [key]: 'x' }), 422, 'Invalid', {
        message: new RegExp(`^Node "${w.id}-a" is invalid: .*metadata.annotations: Invalid value`),
      });
    assertStatus(await annotate({ x: 'x'.repeat(262_144) }), 422, 'Invalid', { message: /Too long/ });
    assert.deepEqual(await w.ok(path), node);
    assert.equal((await annotate({ x: 'x'.repeat(200_000) })).status, 200);
    assert.equal((await annotate({ x: 'ünï\n"code"' })).json.metadata.annotations.x, 'ünï\n"code"');
  });

  test('labels are short words', async w => {
    await w.node(`${w.id}-a`);
    for (const labels of [{ k: 'a b' }, { k: 'x'.repeat(64) }, { 'a b': 'x' }, { k: '-x' }])
      assertStatus(await patch(w, `${NODES}/${w.id}-a`, { metadata: { labels } }), 422, 'Invalid', {
        message: /metadata\.labels: Invalid value/,
      });
  });

  test('podCIDRs are set once', async w => {
    const path = `${NODES}/${w.id}-a`;
    await w.node(`${w.id}-a`);
    const cidrs = (...podCIDRs: string[]) => ({ spec: { podCIDR: podCIDRs[0], podCIDRs } });
    assert.equal((await patch(w, path, cidrs('10.1.0.0/24', 'fd00:1::/64'))).status, 200);
    assert.equal((await patch(w, path, cidrs('10.1.0.0/24', 'fd00:1::/64'))).status, 200);
    const message = 'node updates may not change podCIDR except from "" to valid';
    for (const other of [
      cidrs('10.2.0.0/24'),
      cidrs('10.1.0.0/24'),
      { spec: { podCIDR: null, podCIDRs: null } },
    ])
      assertStatus(await patch(w, path, other), 422, 'Invalid', {
        message: `Node "${w.id}-a" is invalid: spec.podCIDRs: Forbidden: ${message}`,
        details: {
          name: `${w.id}-a`,
          kind: 'Node',
          causes: [
            { reason: 'FieldValueForbidden', message: `Forbidden: ${message}`, field: 'spec.podCIDRs' },
          ],
        },
      });
    assert.deepEqual((await w.ok(path)).spec.podCIDRs, ['10.1.0.0/24', 'fd00:1::/64']);
  });
};
