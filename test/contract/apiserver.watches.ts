/** Contract: watches, from a version or from nothing, with bookmarks, selectors, and 410. */
import assert from 'node:assert/strict';
import { AS_OBJECT, type Event } from './apiserver.bed.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus, configmaps, NODES } from './apiserver.world.ts';

const saying = ({ type, object }: Event): string => `${type} ${object.metadata.name}`;
const versionOf = ({ object }: Event): number => Number(object.metadata.resourceVersion);

const INITIAL_END = 'k8s.io/initial-events-end';

export const watchCases: Cases = test => {
  test('what happens after the list, in order, whole, with growing versions', async w => {
    const path = configmaps(await w.namespace());
    await w.create(path, { metadata: { name: 'before' } });
    const from = await w.version(path);
    const watch = await w.watch(`${path}?watch=true&resourceVersion=${from}`);
    assert.equal(watch.status, 200);
    assert.equal(watch.contentType, 'application/json');
    const made = await w.create(path, { metadata: { name: 'a' }, data: { is: '1' } });
    const changed = await w.patch(`${path}/a`, { data: { is: '2' } });
    await w.remove(`${path}/a`);
    const events = [await watch.next(), await watch.next(), await watch.next()];
    assert.deepEqual(events.map(saying), ['ADDED a', 'MODIFIED a', 'DELETED a']);
    assert.deepEqual(events[0]?.object, made);
    assert.deepEqual(events[1]?.object, changed);
    const gone = events[2] as Event;
    assert.deepEqual(gone.object.data, { is: '2' });
    assert.equal(gone.object.kind, 'ConfigMap');
    assert.ok(
      versionOf(gone) > Number(changed.metadata.resourceVersion),
      'a deletion has a version of its own',
    );
  });

  test('it goes on where it broke off: nothing twice, nothing lost', async w => {
    const path = configmaps(await w.namespace());
    const from = await w.version(path);
    const watch = await w.watch(`${path}?watch=true&resourceVersion=${from}`);
    for (const name of ['a', 'b']) await w.create(path, { metadata: { name } });
    const first = await watch.next();
    watch.close();
    for (const name of ['c', 'd']) await w.create(path, { metadata: { name } });
    const again = await w.watch(`${path}?watch=true&resourceVersion=${versionOf(first)}`);
    const rest = [await again.next(), await again.next(), await again.next()];
    assert.deepEqual([first, ...rest].map(saying), ['ADDED a', 'ADDED b', 'ADDED c', 'ADDED d']);
  });

  test('metadata alone', async w => {
    const from = await w.version();
    const path = `${NODES}?watch=true&resourceVersion=${from}&${w.mine}`;
    const watch = await w.watch(path, `${AS_OBJECT},application/json`);
    const node = await w.node(`${w.id}-a`, { metadata: { annotations: { 'weft.network/x': '1' } } });
    await w.remove(`${NODES}/${w.id}-a`);
    const [added, deleted] = [await watch.next(), await watch.next()];
    assert.deepEqual(added, {
      type: 'ADDED',
      object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: node.metadata },
    });
    assert.equal(deleted.type, 'DELETED');
    assert.deepEqual(Object.keys(deleted.object).sort(), ['apiVersion', 'kind', 'metadata']);
  });

  for (const query of ['', '&resourceVersion=0'])
    test(`without a version (${query || 'none'}): first what is there, then what happens`, async w => {
      for (const name of ['b', 'a']) await w.node(`${w.id}-${name}`);
      await w.names(`${NODES}?resourceVersion=${await w.version()}`);
      const watch = await w.watch(`${NODES}?watch=true&${w.mine}${query}`);
      const there = [await watch.next(), await watch.next()].map(saying).sort();
      assert.deepEqual(there, [`ADDED ${w.id}-a`, `ADDED ${w.id}-b`]);
      await w.patch(`${NODES}/${w.id}-a`, { metadata: { annotations: { x: 'y' } } });
      assert.equal(saying(await watch.next()), `MODIFIED ${w.id}-a`);
    });

  test('initial events end with a bookmark that says so', async w => {
    await w.node(`${w.id}-a`);
    const query = `watch=true&sendInitialEvents=true&allowWatchBookmarks=true&${w.mine}`;
    const watch = await w.watch(`${NODES}?${query}&resourceVersionMatch=NotOlderThan`, AS_OBJECT);
    assert.equal(saying(await watch.next()), `ADDED ${w.id}-a`);
    const bookmark = await watch.next();
    assert.equal(bookmark.type, 'BOOKMARK');
    assert.equal(bookmark.object.kind, 'PartialObjectMetadata');
    assert.equal(bookmark.object.metadata.annotations[INITIAL_END], 'true');
    assert.ok(versionOf(bookmark) > 0);
    const answer = await w.bed.call(`${NODES}?${query}`);
    assertStatus(answer, 422, 'Invalid', {
      message: /sendInitialEvents requires setting resourceVersionMatch/,
    });
  });

  test('the server ends it after timeoutSeconds', async w => {
    const path = configmaps(await w.namespace());
    const watch = await w.watch(
      `${path}?watch=true&timeoutSeconds=1&resourceVersion=${await w.version(path)}`,
    );
    await w.create(path, { metadata: { name: 'a' } });
    assert.deepEqual((await watch.rest()).map(saying), ['ADDED a']);
  });

  test('bookmarks, for who allows them, from which one can go on', async w => {
    const path = configmaps(await w.namespace());
    const from = await w.version(path);
    const query = `watch=true&timeoutSeconds=4&resourceVersion=${from}`;
    const [plain, marked, metadata] = await Promise.all([
      w.watch(`${path}?${query}`),
      w.watch(`${path}?${query}&allowWatchBookmarks=true`),
      w.watch(`${path}?${query}&allowWatchBookmarks=true`, AS_OBJECT),
    ]);
    const made = await w.create(path, { metadata: { name: 'a' } });
    // Something elsewhere: a bookmark says that this watch has nothing to do with it.
    await w.create(configmaps(await w.namespace()), { metadata: { name: 'elsewhere' } });
    assert.deepEqual(
      (await plain.rest()).map(event => event.type),
      ['ADDED'],
    );
    const [added, bookmark] = await marked.rest();
    assert.equal(added && saying(added), 'ADDED a');
    assert.equal(bookmark?.type, 'BOOKMARK');
    assert.equal(bookmark.object.kind, 'ConfigMap');
    assert.equal(bookmark.object.apiVersion, 'v1');
    assert.equal(bookmark.object.metadata.name, undefined);
    assert.ok(versionOf(bookmark) > Number(made.metadata.resourceVersion));
    const [, alone] = await metadata.rest();
    assert.deepEqual(alone, {
      type: 'BOOKMARK',
      object: {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { resourceVersion: alone?.object.metadata.resourceVersion },
      },
    });
    await w.create(path, { metadata: { name: 'b' } });
    const again = await w.watch(`${path}?watch=true&resourceVersion=${versionOf(bookmark)}`);
    assert.equal(saying(await again.next()), 'ADDED b');
  });

  test('with a label selector: what comes into it is added, what leaves it is deleted as it was', async w => {
    const one = `${NODES}/${w.id}-a`;
    await w.node(`${w.id}-a`);
    const selector = encodeURIComponent(`case=${w.id},role`);
    const watch = await w.watch(
      `${NODES}?watch=true&labelSelector=${selector}&resourceVersion=${await w.version()}`,
    );
    await w.patch(one, { metadata: { annotations: { unseen: '1' } } });
    await w.patch(one, { metadata: { labels: { role: 'x' } } });
    await w.patch(one, { metadata: { labels: { role: 'y' } } });
    const left = await w.patch(one, { metadata: { labels: { role: null } } });
    await w.patch(one, { metadata: { annotations: { unseen: '2' } } });
    await w.patch(one, { metadata: { labels: { role: 'z' } } });
    await w.remove(one);
    const events: Event[] = [];
    for (let n = 0; n < 5; n += 1) events.push(await watch.next());
    assert.deepEqual(
      events.map(({ type, object }) => `${type} ${object.metadata.labels.role}`),
      ['ADDED x', 'MODIFIED y', 'DELETED y', 'ADDED z', 'DELETED z'],
    );
    assert.equal(events[2]?.object.metadata.resourceVersion, left.metadata.resourceVersion);
  });

  test('with a field selector: one object by name, a node’s Pods', async w => {
    const from = await w.version();
    const watch = await w.watch(
      `${NODES}?watch=true&fieldSelector=metadata.name%3D${w.id}-b&resourceVersion=${from}`,
    );
    for (const name of ['a', 'b']) await w.node(`${w.id}-${name}`);
    await w.patch(`${NODES}/${w.id}-a`, { metadata: { annotations: { x: '1' } } });
    await w.patch(`${NODES}/${w.id}-b`, { metadata: { annotations: { x: '1' } } });
    assert.deepEqual(
      [saying(await watch.next()), saying(await watch.next())],
      [`ADDED ${w.id}-b`, `MODIFIED ${w.id}-b`],
    );
    const namespace = await w.namespace();
    await w.bed.admitPods(namespace);
    const podsFrom = await w.version('/api/v1/pods?limit=1');
    const pods = await w.watch(
      `/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3D${w.id}&resourceVersion=${podsFrom}`,
    );
    const spec = { containers: [{ name: 'c', image: 'example.org/i' }] };
    const path = `/api/v1/namespaces/${namespace}/pods`;
    await w.create(path, { metadata: { name: 'elsewhere' }, spec: { ...spec, nodeName: 'other' } });
    await w.create(path, { metadata: { name: 'here' }, spec: { ...spec, nodeName: w.id } });
    assert.equal(saying(await pods.next()), 'ADDED here');
  });

  test('of one namespace, and of all', async w => {
    const [one, two] = [await w.namespace(), await w.namespace()];
    const from = await w.version(configmaps(one));
    const narrow = await w.watch(`${configmaps(one)}?watch=true&resourceVersion=${from}`);
    const wide = await w.watch(`/api/v1/configmaps?watch=true&resourceVersion=${from}&${w.mine}`);
    for (const namespace of [two, one])
      await w.create(configmaps(namespace), { metadata: { name: 'a', labels: { case: w.id } } });
    assert.equal((await narrow.next()).object.metadata.namespace, one);
    assert.equal((await wide.next()).object.metadata.namespace, two);
    assert.equal((await wide.next()).object.metadata.namespace, one);
  });

  test('a change that changes nothing is no event and no version', async w => {
    const node = await w.node(`${w.id}-a`, { metadata: { annotations: { x: '1' } } });
    const watch = await w.watch(
      `${NODES}?watch=true&${w.mine}&resourceVersion=${node.metadata.resourceVersion}`,
    );
    const same = await w.patch(`${NODES}/${w.id}-a`, { metadata: { annotations: { x: '1', none: null } } });
    assert.equal(same.metadata.resourceVersion, node.metadata.resourceVersion);
    const other = await w.patch(`${NODES}/${w.id}-a`, { metadata: { annotations: { x: '2' } } });
    assert.equal(String(versionOf(await watch.next())), other.metadata.resourceVersion);
  });

  test('a forgotten version: 200, one event ERROR with a Status of 410, and the end', async w => {
    const from = await w.version();
    await w.node(`${w.id}-a`);
    await w.bed.forget();
    for (const accept of ['application/json', AS_OBJECT]) {
      const watch = await w.watch(`${NODES}?watch=true&resourceVersion=${from}`, accept);
      assert.equal(watch.status, 200);
      const [event, ...more] = await watch.rest();
      assert.deepEqual(more, []);
      assert.equal(event?.type, 'ERROR');
      const { message, ...status } = event.object;
      assert.deepEqual(status, {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        reason: 'Expired',
        code: 410,
      });
      assert.match(message, /^too old resource version: \d+ \(\d+\)$/);
    }
    const fresh = await w.watch(`${NODES}?watch=true&${w.mine}&resourceVersion=${await w.version()}`);
    await w.patch(`${NODES}/${w.id}-a`, { metadata: { annotations: { x: '1' } } });
    assert.equal(saying(await fresh.next()), `MODIFIED ${w.id}-a`);
  });

  test('a version that has not been yet: silence, not an error', async w => {
    const path = configmaps(await w.namespace());
    const from = Number(await w.version(path)) + 1_000_000;
    const watch = await w.watch(`${path}?watch=true&timeoutSeconds=2&resourceVersion=${from}`);
    await w.create(path, { metadata: { name: 'a' } });
    assert.equal(watch.status, 200);
    assert.deepEqual(await watch.rest(), []);
  });

  test('a version that is no number', async w => {
    const answer = await w.bed.call(`${NODES}?watch=true&resourceVersion=x`);
    assert.equal(answer.status, 500);
    assert.equal(answer.json.kind, 'Status');
    assert.match(answer.json.message, /^resourceVersion: Invalid value: "x"/);
  });

  test('a watch of lists of metadata is none', async w => {
    const answer = await w.bed.call(`${NODES}?watch=true&timeoutSeconds=1`, { accept: 'text/html' });
    assertStatus(answer, 406, 'NotAcceptable');
  });
};
