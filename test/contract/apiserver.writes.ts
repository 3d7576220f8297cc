/** Contract: create, merge patch, update, status, delete, and what is refused. */
import assert from 'node:assert/strict';
import { AS_OBJECT, MERGE } from './apiserver.bed.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES, type World } from './apiserver.world.ts';

const policies = (namespace: string): string =>
  `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;

// biome-ignore lint/suspicious/noExplicitAny: bodies that are wrong on purpose.
type Any = any;

const post = (w: World, path: string, body: Any, contentType?: string) =>
  w.bed.call(path, { method: 'POST', body, ...(contentType !== undefined && { contentType }) });
const patch = (w: World, path: string, body: Any, contentType = MERGE) =>
  w.bed.call(path, { method: 'PATCH', contentType, body });
const put = (w: World, path: string, body: Any) => w.bed.call(path, { method: 'PUT', body });

const CONFLICT = (name: string) => ({
  message: `Operation cannot be fulfilled on nodes "${name}": the object has been modified; please apply your changes to the latest version and try again`,
  details: { name, kind: 'nodes' },
});

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const writeCases: Cases = test => {
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

  test('Events are one thing under two names', async w => {
    const namespace = await w.namespace();
    const core = `/api/v1/namespaces/${namespace}/events`;
    const group = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    const about = { kind: 'Node', name: 'n1', uid: 'n1', apiVersion: 'v1' };
    const time = '2026-11-24T17:21:59.000000Z';
    await w.create(core, {
      metadata: { name: 'old' },
      involvedObject: { ...about, namespace },
      reason: 'Old',
      message: 'said in the old way',
      type: 'Warning',
      count: 2,
      firstTimestamp: '2026-11-24T17:21:59Z',
      lastTimestamp: '2026-11-24T17:22:59Z',
      source: { component: 'weft', host: 'n1' },
    });
    await w.create(group, {
      metadata: { name: 'new' },
      regarding: { ...about, namespace },
      reason: 'New',
      note: 'said in the new way',
      type: 'Normal',
      action: 'Peer',
      eventTime: time,
      reportingController: 'weft.network/agent',
      reportingInstance: 'n1',
    });
    const inCore = await w.ok(core);
    assert.equal(inCore.kind, 'EventList');
    const [fresh, old] = inCore.items;
    assert.equal(old.message, 'said in the old way');
    assert.deepEqual(
      {
        involvedObject: fresh.involvedObject,
        message: fresh.message,
        reportingComponent: fresh.reportingComponent,
        eventTime: fresh.eventTime,
      },
      {
        involvedObject: { ...about, namespace },
        message: 'said in the new way',
        reportingComponent: 'weft.network/agent',
        eventTime: time,
      },
    );
    const inGroup = await w.ok(`${group}/old`);
    assert.deepEqual(
      [
        inGroup.apiVersion,
        inGroup.note,
        inGroup.deprecatedCount,
        inGroup.deprecatedSource,
        inGroup.regarding,
      ],
      [
        'events.k8s.io/v1',
        'said in the old way',
        2,
        { component: 'weft', host: 'n1' },
        { ...about, namespace },
      ],
    );
  });

  test('Events of a Node go into the namespace default', async w => {
    const involvedObject = { kind: 'Node', name: `${w.id}-a`, uid: 'x', apiVersion: 'v1' };
    const event = {
      metadata: { generateName: `${w.id}.` },
      involvedObject,
      reason: 'Test',
      message: 'm',
      type: 'Warning',
    };
    const made = await w.create('/api/v1/namespaces/default/events', event);
    assert.equal(made.metadata.namespace, 'default');
    await w.remove(`/api/v1/namespaces/default/events/${made.metadata.name}`);
    const namespace = await w.namespace();
    assertStatus(await post(w, `/api/v1/namespaces/${namespace}/events`, event), 422, 'Invalid', {
      message: /involvedObject\.namespace: Invalid value: "": does not match event\.namespace/,
    });
  });
};
