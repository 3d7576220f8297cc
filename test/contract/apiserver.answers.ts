/** Contract: what is answered where nothing is, nobody may, or the verb does not fit; and what the server says of itself. */
import assert from 'node:assert/strict';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

// biome-ignore lint/suspicious/noExplicitAny: discovery documents.
type Any = any;

const NO_METHOD = { message: 'the server does not allow this method on the requested resource', details: {} };
const NO_RESOURCE = { message: 'the server could not find the requested resource', details: {} };

export const answerCases: Cases = test => {
  test('health: plain words, and no others than a known user', async w => {
    for (const path of ['/readyz', '/livez', '/healthz'])
      for (const token of [undefined, null]) {
        const answer = await w.bed.call(path, token === undefined ? {} : { token });
        assert.deepEqual([answer.status, answer.contentType, answer.text], [200, 'text/plain', 'ok'], path);
      }
  });

  test('version', async w => {
    const { major, minor, gitVersion, platform } = await w.ok('/version');
    assert.equal(major, '1');
    assert.match(minor, /^\d+$/);
    assert.match(gitVersion, /^v1\.\d+\.\d+/);
    assert.match(platform, /^linux\//);
  });

  test('a wrong token: 401, whatever is asked for', async w => {
    for (const path of [NODES, '/version', '/nowhere', '/readyz'])
      assertStatus(await w.bed.call(path, { token: 'wrong' }), 401, 'Unauthorized', {
        message: 'Unauthorized',
        details: undefined,
      });
    const write = await w.bed.call(NODES, {
      method: 'POST',
      token: 'wrong',
      body: { metadata: { name: 'x' } },
    });
    assertStatus(write, 401, 'Unauthorized');
  });

  test('no token: a stranger may not read', async w => {
    assertStatus(await w.bed.call(NODES, { token: null }), 403, 'Forbidden', {
      message:
        'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" at the cluster scope',
      details: { kind: 'nodes' },
    });
    assertStatus(await w.bed.call(`${configmaps('default')}/x`, { token: null }), 403, 'Forbidden', {
      message:
        'configmaps "x" is forbidden: User "system:anonymous" cannot get resource "configmaps" in API group "" in the namespace "default"',
      details: { name: 'x', kind: 'configmaps' },
    });
  });

  test('paths where nothing is', async w => {
    for (const path of ['/nowhere', '/apis/nothing.example.org/v1', '/apis/nothing.example.org/v1/things']) {
      const answer = await w.bed.call(path);
      assert.deepEqual(
        [answer.status, answer.contentType, answer.text],
        [404, 'text/plain', '404 page not found\n'],
        path,
      );
    }
    const paths = ['/api/v1/things', '/api/v1/namespaces/default/things', `${NODES}/x/nothing`];
    for (const path of [...paths, '/api/v1/namespaces/default/nodes/x', '/api/v1/configmaps/x'])
      assertStatus(await w.bed.call(path), 404, 'NotFound', NO_RESOURCE);
    assertStatus(await w.bed.call(`${NODES}/${w.id}-none`), 404, 'NotFound', {
      message: `nodes "${w.id}-none" not found`,
      details: { name: `${w.id}-none`, kind: 'nodes' },
    });
    assertStatus(await w.bed.call(`${NODES}/${w.id}-none/status`), 404, 'NotFound');
  });

  test('verbs that do not fit', async w => {
    const body = { metadata: { name: 'x' } };
    assertStatus(await w.bed.call(NODES, { method: 'PUT', body }), 405, 'MethodNotAllowed', NO_METHOD);
    assertStatus(await w.bed.call(NODES, { method: 'PATCH', body }), 405, 'MethodNotAllowed', NO_METHOD);
    assertStatus(
      await w.bed.call(`${NODES}/x`, { method: 'POST', body }),
      405,
      'MethodNotAllowed',
      NO_METHOD,
    );
    assertStatus(
      await w.bed.call(`${NODES}/x/status`, { method: 'DELETE' }),
      405,
      'MethodNotAllowed',
      NO_METHOD,
    );
  });

  test('discovery: the resources that weft uses, with their verbs', async w => {
    const core = await w.ok('/api');
    assert.equal(core.kind, 'APIVersions');
    assert.deepEqual(core.versions, ['v1']);
    const { kind, groups } = await w.ok('/apis');
    assert.equal(kind, 'APIGroupList');
    for (const name of ['networking.k8s.io', 'events.k8s.io']) {
      const group = groups.find((g: Any) => g.name === name);
      assert.deepEqual(group.preferredVersion, { groupVersion: `${name}/v1`, version: 'v1' });
      const alone = await w.ok(`/apis/${name}`);
      assert.deepEqual(alone, { kind: 'APIGroup', apiVersion: 'v1', ...group });
    }
    const resources = async (path: string) => (await w.ok(path)).resources as Any[];
    const all = [
      ...(await resources('/api/v1')),
      ...(await resources('/apis/networking.k8s.io/v1')),
      ...(await resources('/apis/events.k8s.io/v1')),
    ];
    const rows = [
      ['nodes', 'Node', false],
      ['nodes/status', 'Node', false],
      ['namespaces', 'Namespace', false],
      ['pods', 'Pod', true],
      ['configmaps', 'ConfigMap', true],
      ['events', 'Event', true],
      ['networkpolicies', 'NetworkPolicy', true],
    ] as const;
    for (const [name, resourceKind, namespaced] of rows) {
      const found = all.find(r => r.name === name);
      assert.equal(found?.kind, resourceKind, name);
      assert.equal(found.namespaced, namespaced, name);
      const verbs = name.includes('/')
        ? ['get', 'patch', 'update']
        : ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
      for (const verb of verbs) assert.ok(found.verbs.includes(verb), `${name} ${verb}`);
    }
  });
};
