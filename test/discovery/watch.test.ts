/** The watch: what it asks, believes, and resumes from. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause, until } from './helpers.ts';
import type { Answer } from './server.ts';
import { setUp } from './watched.ts';

test('asks for metadata in pages, then watches from the list’s version with bookmarks', async t => {
  const names = Array.from({ length: 7 }, (_, n) => `n${n}`);
  const { server, known, watching, calls } = await setUp(t, names, { pageSize: 3 });
  const accepts: string[] = [];
  server.script = ({ accept }) => void accepts.push(accept);
  await watching('after the list');
  assert.deepEqual([...known.keys()], names);
  assert.deepEqual(calls, ['list 7']);
  assert.deepEqual(server.requests.slice(0, 3), [
    'GET /api/v1/nodes?limit=3',
    'GET /api/v1/nodes?limit=3&continue=3',
    'GET /api/v1/nodes?limit=3&continue=6',
  ]);
  assert.match(
    server.requests[3] ?? '',
    /watch=true&resourceVersion=107&allowWatchBookmarks=true&timeoutSeconds=\d+$/,
  );
  assert.match(accepts[0] ?? '', /as=PartialObjectMetadataList;v=v1;g=meta\.k8s\.io/);
  assert.match(accepts[3] ?? '', /as=PartialObjectMetadata;v=v1;g=meta\.k8s\.io/);
});

test('resumes from the last version after a cut, without a list and without losing what happened', async t => {
  const { server, known, watching, lists } = await setUp(t, ['a']);
  await watching('first');
  server.put('b');
  await until(() => known.has('b'), 'b');
  server.cut();
  server.put('c');
  server.remove('b');
  await until(() => known.has('c') && !known.has('b'), 'c and not b');
  assert.equal(lists(), 1);
  assert.equal(known.get('a'), 1, 'nothing was replayed');
});

test('a bookmark moves the version from which it resumes', async t => {
  const { server, watching, known, lists } = await setUp(t, ['a']);
  await watching('first');
  server.setVersion(900);
  server.bookmark();
  server.put('b');
  await until(() => known.has('b'), 'b');
  server.setVersion(950);
  server.bookmark();
  await pause(30);
  server.endWatches();
  await until(() => server.requests.some(r => r.includes('resourceVersion=950')), 'a watch from 950');
  assert.equal(lists(), 1);
});

test('410 in an ERROR event and as HTTP status: lists again', async t => {
  const { server, watching, known, lists, watch } = await setUp(t, ['a']);
  await watching('first');
  server.forget('a');
  server.put('b');
  server.compact();
  server.cut();
  await until(() => lists() === 2 && server.watchers() > 0, 'a second list');
  server.script = ({ query }): Answer | undefined =>
    query.get('watch') ? { status: 410, body: { reason: 'Gone', message: 'gone' } } : undefined;
  server.endWatches();
  await until(() => lists() >= 3, 'a third list');
  server.script = () => undefined;
  await until(() => server.watchers() > 0 && watch.state().connected, 'a watch at last');
  assert.ok(known.has('b'));
});

test('a list that expires between its pages begins anew', async t => {
  const { server, known } = await setUp(t, ['a', 'b', 'c'], { pageSize: 2 });
  let once = true;
  server.script = ({ query }): Answer | undefined => {
    if (!query.get('continue') || !once) return undefined;
    once = false;
    return { status: 410, body: { reason: 'Expired', message: 'the token is too old' } };
  };
  await until(() => known.size === 3, 'all three');
  assert.equal(once, false);
});

test('silence is a dead connection: it resumes from the last version', async t => {
  const { server, watching, known, lists } = await setUp(t, ['a'], { silenceMs: 80 });
  await watching('first');
  const before = server.requests.length;
  await until(() => server.requests.length >= before + 2, 'two more watches');
  server.put('b');
  await until(() => known.has('b'), 'b');
  assert.equal(lists(), 1);
});

test('bytes now and then are no silence', async t => {
  const { server, watching } = await setUp(t, ['a'], { silenceMs: 400 });
  await watching('first');
  const before = server.requests.length;
  for (let n = 0; n < 12; n += 1) {
    await pause(60);
    server.bookmark();
  }
  assert.equal(server.requests.length, before);
});

test('a line cut off in the middle is not believed, and comes again', async t => {
  const { server, watching, known, lists, calls } = await setUp(t, ['a']);
  await watching('first');
  server.raw('{"type":"MODIFIED","object":{"metadata":{"name":"ghost","resourceVersion":"5');
  server.endWatches();
  server.put('b');
  await until(() => known.has('b'), 'b');
  assert.ok(!known.has('ghost'));
  assert.equal(lists(), 1);
  assert.deepEqual(calls, ['list 1', 'changed b']);
});

test('a line in many pieces, and many in one piece, are the same lines', async t => {
  const { server, watching, known } = await setUp(t, ['a']);
  await watching('first');
  const line = (name: string, version: number) =>
    `${JSON.stringify({ type: 'ADDED', object: { metadata: { name, resourceVersion: String(version) } } })}\n`;
  for (const byte of line('ü-in-pieces', 500)) {
    server.raw(byte);
    await pause(1);
  }
  server.raw(line('x', 501) + line('y', 502) + line('z', 503).slice(0, 10));
  await pause(10);
  server.raw(line('z', 503).slice(10));
  await until(() => ['ü-in-pieces', 'x', 'y', 'z'].every(name => known.has(name)), 'all four');
});

test('a line that is no JSON makes it list again', async t => {
  const { server, watching, known, lists } = await setUp(t, ['a']);
  await watching('first');
  server.raw('<html>502 Bad Gateway</html>\n');
  await until(() => lists() === 2, 'a second list');
  await watching('after it');
  server.put('b');
  await until(() => known.has('b'), 'b');
});
