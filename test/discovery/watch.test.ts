import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { WatchState } from '../../discovery/types.ts';
import { startWatch, type WatchLimits } from '../../discovery/watch.ts';
import type { KubeObject } from '../../discovery/watchevent.ts';
import { clientFor, fastClock, memoryLog, pause, quick, until } from './helpers.ts';
import { type Answer, startServer } from './server.ts';

const nameOf = (object: KubeObject): string => String(object.metadata.name);

async function setUp(t: TestContext, names: readonly string[], limits: Partial<WatchLimits> = {}) {
  const server = await startServer();
  for (const name of names) server.put(name);
  const client = clientFor(server.url, 2_000);
  const known = new Map<string, number>();
  const calls: string[] = [];
  const states: WatchState[] = [];
  const log = memoryLog();
  const start = () =>
    startWatch<string>({
      client,
      path: '/api/v1/nodes',
      log,
      clock: fastClock,
      limits: { ...quick, ...limits },
      handlers: {
        read: nameOf,
        known: () => new Set(known.keys()),
        idOf: name => name,
        listed: (items, whole) => {
          calls.push(`list ${items.length}${whole ? '' : ' held'}`);
          if (whole) known.clear();
          for (const item of items) known.set(item, (known.get(item) ?? 0) + 1);
        },
        changed: item => {
          calls.push(`changed ${item}`);
          known.set(item, (known.get(item) ?? 0) + 1);
        },
        deleted: item => {
          calls.push(`deleted ${item}`);
          known.delete(item);
        },
        state: state => states.push(state),
      },
    });
  const watch = start();
  t.after(async () => {
    await watch.close();
    client.close();
    await server.close().catch(() => {});
  });
  const watching = (what: string) => until(() => server.watchers() > 0, `a watch ${what}`);
  const lists = () => server.requests.filter(r => r.startsWith('GET /api/v1/nodes?limit')).length;
  return { server, watch, known, calls, states, log, watching, lists };
}

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

for (const status of [401, 403, 429, 500, 503])
  test(`answers with ${status}: says so, keeps what it knows, comes back`, async t => {
    const { server, watching, known, watch } = await setUp(t, ['a', 'b']);
    await watching('first');
    server.script = () => ({ status, body: { reason: 'Test', message: 'not now' } });
    server.cut();
    await until(() => watch.state().restarts >= 3, 'some tries');
    assert.equal(watch.state().connected, false);
    assert.match(watch.state().error ?? '', new RegExp(`${status} not now`));
    assert.equal(known.size, 2);
    server.script = () => undefined;
    await until(() => watch.state().connected && server.watchers() > 0, 'the watch');
    assert.equal(watch.state().error, undefined);
  });

test('pauses between tries grow, jitter, and obey Retry-After', async t => {
  const server = await startServer();
  const client = clientFor(server.url);
  server.script = () => ({ status: 503, body: {}, headers: { 'Retry-After': '7' } });
  const pauses: number[] = [];
  const clock = {
    ...fastClock,
    random: () => 0.5,
    set: (ms: number, run: () => void) => {
      pauses.push(ms);
      return fastClock.set(1, run);
    },
  };
  const nothing = {
    read: nameOf,
    known: () => new Set<string>(),
    idOf: (n: string) => n,
    listed: () => {},
    changed: () => {},
    deleted: () => {},
    state: () => {},
  };
  const limits = { ...quick, backoff: { firstMs: 1_000, maxMs: 30_000 } };
  const watch = startWatch({
    client,
    path: '/api/v1/nodes',
    log: memoryLog(),
    clock,
    limits,
    handlers: nothing,
  });
  t.after(async () => {
    await watch.close();
    client.close();
    await server.close();
  });
  await until(() => pauses.length >= 8, 'eight pauses');
  assert.deepEqual(pauses.slice(0, 8), [7_000, 7_000, 7_000, 7_000, 12_000, 22_500, 22_500, 22_500]);
});

test('a server that never answers is given up and tried again', async t => {
  const server = await startServer();
  server.put('a');
  let hang = true;
  server.script = () => (hang ? 'hang' : undefined);
  const client = clientFor(server.url, 60);
  const known = new Set<string>();
  const watch = startWatch({
    client,
    path: '/api/v1/nodes',
    log: memoryLog(),
    clock: fastClock,
    limits: quick,
    handlers: {
      read: nameOf,
      known: () => known,
      idOf: (n: string) => n,
      listed: items => items.forEach(i => void known.add(i)),
      changed: () => {},
      deleted: () => {},
      state: () => {},
    },
  });
  t.after(async () => {
    await watch.close();
    client.close();
    await server.close();
  });
  await until(() => watch.state().restarts > 1, 'two timeouts');
  assert.match(watch.state().error ?? '', /no answer within 0\.06 s/);
  hang = false;
  await until(() => known.has('a'), 'a');
});

test('a server that is stopped and started again with less history is believed again', async t => {
  const { server, watching, known, watch } = await setUp(t, ['a', 'b']);
  await watching('first');
  await server.close();
  await until(() => watch.state().restarts > 2, 'some refused connections');
  assert.match(watch.state().error ?? '', /ECONNREFUSED/);
  await server.reopen();
  server.put('c');
  await until(() => known.has('c'), 'c');
});

test('a server restored from a backup counts from an older version: lists again', async t => {
  const { server, watching, known, lists } = await setUp(t, ['a', 'b']);
  await watching('first');
  server.setVersion(3);
  server.bookmark();
  await until(() => lists() === 2, 'a second list');
  await watching('from the older version');
  server.put('c');
  await until(() => known.has('c'), 'c');
});

test('a list that is empty is held until a second one says the same', async t => {
  const { server, watching, known, calls, log, lists } = await setUp(t, ['a', 'b', 'c']);
  await watching('first');
  for (const name of ['a', 'b', 'c']) server.forget(name);
  server.compact();
  server.cut();
  await until(() => calls.includes('list 0 held'), 'the held list');
  assert.equal(known.size, 3);
  assert.ok(log.lines.some(line => line.level === 'warn' && /lacks 3 known Nodes/.test(line.message)));
  await until(() => calls.includes('list 0'), 'the confirmed list');
  assert.equal(known.size, 0);
  assert.equal(lists(), 3);
});

test('a held list adds what is new, and is dropped when the Nodes are back', async t => {
  const { server, watching, known, calls } = await setUp(t, ['a', 'b', 'c', 'd']);
  await watching('first');
  for (const name of ['a', 'b', 'c']) server.forget(name);
  server.put('e');
  server.compact();
  server.cut();
  await until(() => calls.includes('list 2 held'), 'the held list');
  assert.deepEqual([...known.keys()].sort(), ['a', 'b', 'c', 'd', 'e']);
  for (const name of ['a', 'b', 'c']) server.put(name);
  await until(() => calls.includes('list 5'), 'the second list');
  assert.equal(known.size, 5);
});

for (const [name, tail] of [
  ['closes every watch after one line', ''],
  [
    'says 410 after one line',
    '{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n',
  ],
  ['sends junk after one line', 'junk\n'],
] as const)
  test(`a server that ${name} is asked less and less often`, async t => {
    const limits = { ...quick, backoff: { firstMs: 40, maxMs: 40_000 } };
    const { server, watching, lists } = await setUp(t, ['a'], limits);
    await watching('first');
    const spoil = setInterval(() => {
      if (server.watchers() === 0) return;
      server.bookmark();
      server.raw(tail);
      server.endWatches();
    }, 1);
    t.after(() => clearInterval(spoil));
    await pause(600);
    const watches = server.requests.filter(r => r.includes('watch=true')).length;
    assert.ok(watches > 1 && watches < 12, `${watches} watches`);
    assert.ok(lists() < 12, `${lists()} lists`);
  });

test('close ends it in the middle of everything', async t => {
  const { server, watching, watch } = await setUp(t, ['a']);
  await watching('first');
  await watch.close();
  await until(() => server.watchers() === 0, 'the connection closed');
  const before = server.requests.length;
  server.put('b');
  await pause(50);
  assert.equal(server.requests.length, before);
});
