/** Contract: lists, versions, metadata alone. */
import assert from 'node:assert/strict';
import { AS_LIST, AS_OBJECT } from './apiserver.bed.ts';
import { namesOf } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

export const listCases: Cases = test => {
  test('a list says its kind and version; its items are sorted and say neither kind nor apiVersion', async w => {
    for (const name of ['b', 'c', 'a']) await w.node(`${w.id}-${name}`);
    const list = await w.ok(`${NODES}?${w.mine}`);
    assert.equal(list.kind, 'NodeList');
    assert.equal(list.apiVersion, 'v1');
    assert.match(list.metadata.resourceVersion, /^\d+$/);
    assert.deepEqual(
      namesOf(list),
      ['a', 'b', 'c'].map(name => `${w.id}-${name}`),
    );
    for (const item of list.items) {
      assert.deepEqual(Object.keys(item).sort(), ['metadata', 'spec', 'status']);
      assert.ok(Number(item.metadata.resourceVersion) <= Number(list.metadata.resourceVersion));
    }
  });

  test('a list that holds nothing', async w => {
    const whole = await w.ok(`${NODES}?${w.mine}`);
    assert.deepEqual(whole.items, []);
    const metadata = await w.ok(`${NODES}?${w.mine}`, { accept: AS_LIST });
    // Not an empty list: what the real server sends here has surprised many a client.
    assert.equal(metadata.items, null);
    const nowhere = await w.ok(configmaps(`${w.id}-nowhere`));
    assert.deepEqual(nowhere.items, []);
  });

  test('lists of metadata alone', async w => {
    await w.node(`${w.id}-a`, { metadata: { annotations: { 'weft.network/x': '1' } } });
    const whole = await w.ok(`${NODES}?${w.mine}`);
    const list = await w.ok(`${NODES}?${w.mine}`, { accept: AS_LIST });
    assert.equal(list.kind, 'PartialObjectMetadataList');
    assert.equal(list.apiVersion, 'meta.k8s.io/v1');
    assert.deepEqual(list.items, [
      {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: whole.items[0].metadata,
      },
    ]);
  });

  test('what Accept may say', async w => {
    await w.node(`${w.id}-a`);
    const kindOf = async (path: string, accept: string) => {
      const answer = await w.bed.call(path, { accept });
      return answer.status === 200 ? answer.json.kind : answer.json.reason;
    };
    const one = `${NODES}/${w.id}-a`;
    const cases = [
      [NODES, AS_LIST, 'PartialObjectMetadataList'],
      [NODES, `${AS_LIST},application/json`, 'PartialObjectMetadataList'],
      [NODES, `application/json,${AS_LIST}`, 'NodeList'],
      [NODES, '*/*', 'NodeList'],
      [NODES, 'application/*', 'NotAcceptable'],
      [
        NODES,
        'application/json;g=meta.k8s.io;v=v1;as=PartialObjectMetadataList',
        'PartialObjectMetadataList',
      ],
      [
        NODES,
        'application/json; as=PartialObjectMetadataList; v=v1; g=meta.k8s.io',
        'PartialObjectMetadataList',
      ],
      [NODES, `text/html,${AS_LIST}`, 'PartialObjectMetadataList'],
      [NODES, 'application/json;as=Nonsense;v=v1;g=meta.k8s.io,application/json', 'NodeList'],
      [NODES, 'application/json;as=Nonsense;v=v1;g=meta.k8s.io', 'NotAcceptable'],
      [NODES, 'application/json;as=PartialObjectMetadataList;v=v9;g=meta.k8s.io', 'NotAcceptable'],
      [NODES, 'application/json;as=PartialObjectMetadataList;v=v1;g=other', 'NotAcceptable'],
      [NODES, AS_OBJECT, 'NotAcceptable'],
      [NODES, 'text/html', 'NotAcceptable'],
      [one, AS_OBJECT, 'PartialObjectMetadata'],
      [one, `${AS_OBJECT},application/json`, 'PartialObjectMetadata'],
      [one, AS_LIST, 'NotAcceptable'],
      [one, 'application/json', 'Node'],
    ] as const;
    for (const [path, accept, want] of cases)
      assert.equal(await kindOf(path, accept), want, `${path} ${accept}`);
  });

  test('a version asked for: at least, exactly, too new, forgotten, nonsense', async w => {
    const path = configmaps(await w.namespace());
    await w.create(path, { metadata: { name: 'a' } });
    const then = await w.version(path);
    const made = await w.create(path, { metadata: { name: 'b' } });
    assert.deepEqual(namesOf(await w.ok(`${path}?resourceVersion=${made.metadata.resourceVersion}`)), [
      'a',
      'b',
    ]);
    const exact = await w.ok(`${path}?resourceVersion=${then}&resourceVersionMatch=Exact`);
    assert.deepEqual(namesOf(exact), ['a']);
    assert.equal(exact.metadata.resourceVersion, then);
    const later = await w.bed.call(`${path}?resourceVersion=${Number(then) + 1_000_000}`);
    assertStatus(later, 504, 'Timeout', {
      message: /^Timeout: Too large resource version: \d+, current: \d+$/,
      details: {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        retryAfterSeconds: 1,
      },
    });
    assertStatus(await w.bed.call(`${path}?resourceVersion=x`), 400, 'BadRequest', {
      message: /^invalid resource version/,
    });
    assertStatus(await w.bed.call(`${path}?resourceVersionMatch=Exact`), 422, 'Invalid');
    await w.bed.forget();
    assertStatus(
      await w.bed.call(`${path}?resourceVersion=${then}&resourceVersionMatch=Exact`),
      410,
      'Expired',
      {
        message: 'The resourceVersion for the provided list is too old.',
      },
    );
    // "At least" is a lower bound, and the present is newer than any that is forgotten.
    assert.deepEqual(namesOf(await w.ok(`${path}?resourceVersion=${then}`)), ['a', 'b']);
  });

  test('version 0 is whatever the server has at hand, without pages', async w => {
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b', 'c']) await w.create(path, { metadata: { name } });
    await w.ok(`${path}?resourceVersion=${await w.version(path)}`);
    const list = await w.ok(`${path}?resourceVersion=0&limit=1`);
    assert.deepEqual(namesOf(list), ['a', 'b', 'c']);
    assert.equal('continue' in list.metadata, false);
  });

  test('a limit that is no number', async w => {
    assertStatus(await w.bed.call(`${NODES}?limit=many`), 400, 'BadRequest');
  });
};
