/** Contract: lists, pages, versions, selectors, metadata alone. */
import assert from 'node:assert/strict';
import { AS_LIST, AS_OBJECT } from './apiserver.bed.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

// biome-ignore lint/suspicious/noExplicitAny: the suite looks into answers of every shape.
type Any = any;

const namesOf = (list: Any): string[] => list.items.map((item: Any) => item.metadata.name);

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

  test('pages: every object once, in order, one version, and how many remain', async w => {
    const path = configmaps(await w.namespace());
    for (let n = 1; n <= 7; n += 1) await w.create(path, { metadata: { name: `m${n}` } });
    const pages: Any[] = [];
    let more = '';
    do {
      const page = await w.ok(`${path}?limit=3${more && `&continue=${more}`}`);
      pages.push(page);
      more = page.metadata.continue ?? '';
    } while (more);
    assert.deepEqual(pages.map(namesOf), [['m1', 'm2', 'm3'], ['m4', 'm5', 'm6'], ['m7']]);
    assert.deepEqual(
      pages.map(page => page.metadata.remainingItemCount),
      [4, 1, undefined],
    );
    assert.equal(new Set(pages.map(page => page.metadata.resourceVersion)).size, 1);
  });

  test('pages: no token where nothing follows; limit 0 is no limit', async w => {
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b', 'c']) await w.create(path, { metadata: { name } });
    for (const limit of [3, 4, 0]) {
      const { metadata, items } = await w.ok(`${path}?limit=${limit}`);
      assert.equal(items.length, 3);
      assert.equal('continue' in metadata, false);
      assert.equal('remainingItemCount' in metadata, false);
    }
  });

  test('pages belong to the moment of the first one', async w => {
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b', 'd', 'e'])
      await w.create(path, { metadata: { name }, data: { is: 'old' } });
    const first = await w.ok(`${path}?limit=1`);
    await w.remove(`${path}/d`);
    await w.create(path, { metadata: { name: 'c' } });
    await w.patch(`${path}/b`, { data: { is: 'new' } });
    await w.create(path, { metadata: { name: 'f' } });
    const next = await w.ok(`${path}?limit=2&continue=${first.metadata.continue}`);
    assert.deepEqual(namesOf(next), ['b', 'd']);
    assert.equal(next.items[0].data.is, 'old');
    assert.equal(next.metadata.resourceVersion, first.metadata.resourceVersion);
    const last = await w.ok(`${path}?continue=${next.metadata.continue}`);
    assert.deepEqual(namesOf(last), ['e']);
    assert.deepEqual(namesOf(await w.ok(path)), ['a', 'b', 'c', 'e', 'f']);
  });

  test('pages with a selector do not count what remains', async w => {
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b', 'c', 'd'])
      await w.create(path, { metadata: { name, labels: { odd: String(name === 'a' || name === 'c') } } });
    const first = await w.ok(`${path}?limit=1&labelSelector=odd%3Dtrue`);
    assert.deepEqual(namesOf(first), ['a']);
    assert.equal('remainingItemCount' in first.metadata, false);
    const query = `limit=1&labelSelector=odd%3Dtrue&continue=${first.metadata.continue}`;
    assert.deepEqual(namesOf(await w.ok(`${path}?${query}`)), ['c']);
  });

  test('pages of metadata alone, over all namespaces in order', async w => {
    const [one, two] = [await w.namespace(), await w.namespace()];
    for (const namespace of [two, one])
      for (const name of ['b', 'a'])
        await w.create(configmaps(namespace), { metadata: { name, labels: { case: w.id } } });
    const seen: string[] = [];
    let more = '';
    do {
      const page = await w.ok(`/api/v1/configmaps?limit=3&${w.mine}${more && `&continue=${more}`}`, {
        accept: AS_LIST,
      });
      seen.push(...page.items.map((item: Any) => `${item.metadata.namespace}/${item.metadata.name}`));
      more = page.metadata.continue ?? '';
    } while (more);
    assert.deepEqual(seen, [`${one}/a`, `${one}/b`, `${two}/a`, `${two}/b`]);
  });

  test('tokens that are none, or do not go with a version', async w => {
    assertStatus(await w.bed.call(`${NODES}?continue=nonsense`), 400, 'BadRequest', {
      message: /continue key is not valid/,
    });
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b']) await w.create(path, { metadata: { name } });
    const { metadata } = await w.ok(`${path}?limit=1`);
    const both = `${path}?continue=${metadata.continue}&resourceVersion=${metadata.resourceVersion}`;
    assertStatus(await w.bed.call(both), 400, 'BadRequest', {
      message: 'specifying resource version is not allowed when using continue',
    });
  });

  test('an expired token is 410, with one that goes on from the same place in the present', async w => {
    const path = configmaps(await w.namespace());
    for (const name of ['a', 'b', 'd']) await w.create(path, { metadata: { name } });
    const first = await w.ok(`${path}?limit=1`);
    await w.create(path, { metadata: { name: 'c' } });
    await w.bed.forget();
    const answer = await w.bed.call(`${path}?limit=1&continue=${first.metadata.continue}`);
    assert.equal(answer.status, 410, answer.text);
    assert.equal(answer.json.kind, 'Status');
    assert.equal(answer.json.reason, 'Expired');
    assert.match(
      answer.json.message,
      /^The provided continue parameter is too old to display a consistent list/,
    );
    const rest = await w.ok(`${path}?continue=${answer.json.metadata.continue}`);
    assert.deepEqual(namesOf(rest), ['b', 'c', 'd']);
    assert.ok(Number(rest.metadata.resourceVersion) > Number(first.metadata.resourceVersion));
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
