/** Contract: pages of lists. */
import assert from 'node:assert/strict';
import { AS_LIST } from './apiserver.bed.ts';
import { type Any, namesOf } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

export const pageCases: Cases = test => {
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
};
