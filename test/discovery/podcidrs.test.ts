import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '../../discovery/api-error.ts';
import type { Client } from '../../discovery/client.ts';
import { startPodCidrs } from '../../discovery/podcidrs.ts';
import { memoryLog } from './helpers.ts';
import { manualClock } from './manual-clock.ts';

function setUp(t: TestContext, names: readonly string[]) {
  const clock = manualClock();
  const known = new Map<string, readonly string[]>();
  const nodes = new Map(
    names.map(name => [name, { metadata: { uid: `uid-${name}` }, spec: {} as { podCIDRs?: string[] } }]),
  );
  const calls: string[] = [];
  let down = false;
  const get: Client['get'] = async (path, options) => {
    calls.push(options?.query ? `page ${options.query.continue ?? 0}` : path);
    await Promise.resolve();
    if (down) throw new ApiError('ECONNREFUSED');
    const all = [...nodes.values()];
    const start = Number(options?.query?.continue ?? 0);
    const limit = Number(options?.query?.limit);
    const more = start + limit < all.length ? String(start + limit) : undefined;
    if (options?.query)
      return { metadata: { resourceVersion: '1', continue: more }, items: all.slice(start, start + limit) };
    const node = nodes.get(path.split('/').at(-1) as string);
    if (node === undefined) throw new ApiError('404', { status: 404 });
    return node;
  };
  const client = { get } as unknown as Client;
  const cidrs = startPodCidrs({
    client,
    path: '/nodes',
    missing: () =>
      names.filter(name => !known.has(`uid-${name}`)).map(name => ({ uid: `uid-${name}`, name })),
    found: (uid, list) => known.set(uid, list),
    log: memoryLog(),
    clock,
  });
  t.after(() => cidrs.close());
  return {
    clock,
    known,
    nodes,
    calls,
    cidrs,
    setDown: (value: boolean) => {
      down = value;
    },
  };
}

test('asked once, and never again once known', async t => {
  const { clock, known, nodes, calls, cidrs } = setUp(t, ['a', 'b']);
  for (const [name, node] of nodes) node.spec.podCIDRs = [`cidr-of-${name}`];
  cidrs.mark();
  await clock.advance(100);
  assert.deepEqual(
    [...known],
    [
      ['uid-a', ['cidr-of-a']],
      ['uid-b', ['cidr-of-b']],
    ],
  );
  cidrs.mark('uid-a');
  await clock.advance(1_000_000);
  assert.deepEqual(calls, ['/nodes/a', '/nodes/b']);
});

test('a Node without them is asked again with growing pauses, and soon after it changes', async t => {
  const { clock, known, nodes, calls, cidrs } = setUp(t, ['a']);
  cidrs.mark();
  await clock.advance(3_600_000);
  assert.ok(calls.length > 10 && calls.length < 30, `${calls.length} questions in an hour`);
  (nodes.get('a') as { spec: { podCIDRs?: string[] } }).spec.podCIDRs = ['x'];
  cidrs.mark('uid-a');
  await clock.advance(31_000);
  assert.deepEqual(known.get('uid-a'), ['x']);
});

test('a Node that gets them a moment after it appeared has them within a second or so of the change', async t => {
  const { clock, known, nodes, cidrs } = setUp(t, ['a']);
  cidrs.mark();
  await clock.advance(200);
  (nodes.get('a') as { spec: { podCIDRs?: string[] } }).spec.podCIDRs = ['x'];
  cidrs.mark('uid-a');
  await clock.advance(1_300);
  assert.deepEqual(known.get('uid-a'), ['x']);
});

test('the podCIDRs of another UID of the same name are not taken', async t => {
  const { clock, known, nodes, cidrs } = setUp(t, ['a']);
  nodes.set('a', { metadata: { uid: 'other' }, spec: { podCIDRs: ['x'] } });
  cidrs.mark();
  await clock.advance(5_000);
  assert.equal(known.size, 0);
});

test('many are read in pages, and an outage only delays', async t => {
  const names = Array.from({ length: 60 }, (_, n) => `n${n}`);
  const { clock, known, nodes, calls, cidrs, setDown } = setUp(t, names);
  for (const node of nodes.values()) node.spec.podCIDRs = ['x'];
  setDown(true);
  cidrs.mark();
  await clock.advance(2_000);
  assert.equal(known.size, 0);
  setDown(false);
  await clock.advance(10_000);
  assert.equal(known.size, 60);
  assert.deepEqual(calls.slice(-3), ['page 0', 'page 25', 'page 50']);
});
