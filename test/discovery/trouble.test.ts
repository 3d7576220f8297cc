/** The watch when the server refuses, is away, or comes back with another past. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWatch } from '../../discovery/watch.ts';
import { clientFor, fastClock, memoryLog, pause, quick, until } from './helpers.ts';
import { startServer } from './server.ts';
import { nameOf, setUp } from './watched.ts';

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
