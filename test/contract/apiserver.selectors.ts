/** Contract: label and field selectors. */
import assert from 'node:assert/strict';
import type { Cases } from './apiserver.ts';
import { assertStatus, NODES } from './apiserver.world.ts';

export const selectorCases: Cases = test => {
  test('label selectors', async w => {
    for (const [name, i] of [
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ] as const)
      await w.node(`${w.id}-${name}`, { metadata: { labels: { i, z: 'q', 'weft.network/role': '' } } });
    const rows: readonly (readonly [string, string])[] = [
      ['i=1', 'a'],
      ['i==2', 'b'],
      ['i!=1', 'bc'],
      ['none!=1', 'abc'],
      ['i in (1,3)', 'ac'],
      ['i notin (1,3)', 'b'],
      ['none notin (1)', 'abc'],
      ['none in (1)', ''],
      ['i in (1,,2)', 'ab'],
      ['i in ()', ''],
      ['i notin ()', 'abc'],
      ['i', 'abc'],
      ['!i', ''],
      ['! none', 'abc'],
      ['none', ''],
      ['z=q,i=2', 'b'],
      ['z in (q),!none,i notin (2)', 'ac'],
      ['i=', ''],
      ['weft.network/role=', 'abc'],
      ['weft.network/role', 'abc'],
      [' i = 1 ', 'a'],
      ['i==1,i!=2', 'a'],
      ['i>1', 'bc'],
      ['i>1,i<3', 'b'],
      ['in=1', ''],
      ['in in (in)', ''],
    ];
    for (const [selector, want] of rows) {
      const path = `${NODES}?labelSelector=${encodeURIComponent(`case=${w.id},${selector}`)}`;
      assert.equal((await w.names(path)).map(name => name.at(-1)).join(''), want, selector);
    }
  });

  test('label selectors that cannot be read', async w => {
    const bad = ['i in 1', 'a b', 'i!', '-x=1', 'i=$', ',', 'i=1,', 'i=1,,z=q', 'a/b/c=1', 'i=1)', '(i=1)'];
    bad.push('i=1 z=q', 'i in (1', 'i in (a b)', 'i=a/b', '!i=1', 'i===1', 'i>a', `i=${'x'.repeat(64)}`);
    for (const selector of bad) {
      const answer = await w.bed.call(`${NODES}?labelSelector=${encodeURIComponent(selector)}`);
      assert.equal(answer.status, 400, `${selector}: ${answer.text.slice(0, 200)}`);
      assert.equal(answer.json.reason, 'BadRequest');
    }
  });

  test('field selectors', async w => {
    for (const name of ['a', 'b']) await w.node(`${w.id}-${name}`);
    const rows: readonly (readonly [string, string])[] = [
      [`metadata.name=${w.id}-a`, 'a'],
      [`metadata.name==${w.id}-a`, 'a'],
      [`metadata.name!=${w.id}-a`, 'b'],
      [`metadata.name=${w.id}-a,metadata.name=${w.id}-b`, ''],
      [`metadata.name=${w.id}-a,`, 'a'],
      ['metadata.name=', ''],
      ['spec.unschedulable=false', 'ab'],
      ['spec.unschedulable=true', ''],
    ];
    for (const [selector, want] of rows) {
      const names = await w.names(`${NODES}?${w.mine}&fieldSelector=${encodeURIComponent(selector)}`);
      assert.equal(names.map(name => name.at(-1)).join(''), want, selector);
    }
    const bad = [
      'metadata.name',
      'foo=1',
      'metadata.namespace=',
      'metadata.name in (a)',
      'spec.podCIDR=1',
      'metadata.uid=1',
    ];
    for (const selector of bad)
      assertStatus(
        await w.bed.call(`${NODES}?fieldSelector=${encodeURIComponent(selector)}`),
        400,
        'BadRequest',
      );
  });

  test('field selectors of Pods', async w => {
    const namespace = await w.namespace();
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    await w.bed.admitPods(namespace);
    const spec = { containers: [{ name: 'c', image: 'example.org/i' }] };
    await w.create(pods, { metadata: { name: 'bound' }, spec: { ...spec, nodeName: 'node1' } });
    await w.create(pods, { metadata: { name: 'free' }, spec });
    const rows: readonly (readonly [string, string])[] = [
      ['spec.nodeName=node1', 'bound'],
      ['spec.nodeName=node2', ''],
      ['spec.nodeName!=node1', 'free'],
      ['spec.nodeName=', 'free'],
      ['spec.nodeName!=', 'bound'],
      ['status.phase=Pending', 'bound,free'],
      ['status.podIP=10.0.0.1', ''],
      [`metadata.namespace=${namespace},metadata.name=free`, 'free'],
    ];
    for (const [selector, want] of rows)
      assert.equal(
        (await w.names(`${pods}?fieldSelector=${encodeURIComponent(selector)}`)).join(),
        want,
        selector,
      );
    assertStatus(await w.bed.call('/api/v1/pods?fieldSelector=spec.foo%3D1'), 400, 'BadRequest', {
      message: /field label not supported: spec\.foo$/,
    });
  });
};
