/** The two places that write to the API server: publish.ts and events.ts, on a clock that tests own. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '../../discovery/api-error.ts';
import type { Client } from '../../discovery/client.ts';
import { startEvents } from '../../discovery/events.ts';
import { differences, startPublisher } from '../../discovery/publish.ts';
import { generateKey } from '../../mesh/key.ts';
import { memoryLog } from './helpers.ts';
import { manualClock } from './manual-clock.ts';

type Notes = Record<string, string>;

function setUp(t: TestContext) {
  const clock = manualClock();
  const log = memoryLog();
  const posts: { readonly at: number; readonly body: Record<string, unknown> }[] = [];
  const patches: { readonly at: number; readonly notes: Notes }[] = [];
  let failure: ApiError | undefined;
  const write = async (keep: () => void): Promise<unknown> => {
    await Promise.resolve();
    if (failure) throw failure;
    keep();
    return {};
  };
  const client: Client = {
    server: 'test',
    get: () => Promise.reject(new Error('unused')),
    stream: () => Promise.reject(new Error('unused')),
    patch: (_, body) =>
      write(() =>
        patches.push({
          at: clock.now(),
          notes: (body as { metadata: { annotations: Notes } }).metadata.annotations,
        }),
      ),
    post: (_, body) => write(() => posts.push({ at: clock.now(), body: body as Record<string, unknown> })),
    reconnect: () => {},
    close: () => {},
  };
  const events = startEvents({ client, node: () => ({ name: 'a', uid: 'uid-a' }), log, clock });
  const publisher = (lastKnownKey?: never) =>
    startPublisher({
      client,
      path: '/api/v1/nodes',
      nodeName: 'a',
      lastKnownKey,
      onPublished: () => {},
      log,
      clock,
    });
  t.after(() => events.close());
  return {
    clock,
    log,
    posts,
    patches,
    events,
    publisher,
    fail: (error?: ApiError) => {
      failure = error;
    },
  };
}

const wanted = { publicKey: generateKey().publicKey, endpoints: [] };

test('differences: only what differs', () => {
  const all = { 'weft.network/public-key': wanted.publicKey, 'weft.network/endpoints': '[]' };
  assert.deepEqual(differences(wanted, {}), all);
  assert.deepEqual(differences(wanted, { ...all, other: 'x' }), {});
  assert.deepEqual(differences(wanted, { ...all, 'weft.network/endpoints': '[ ]' }), {
    'weft.network/endpoints': '[]',
  });
});

test('differences: of two keys either may stay, and a done rotation is told', () => {
  const other = generateKey().publicKey;
  const shows = (key: string) => ({ 'weft.network/public-key': key, 'weft.network/endpoints': '[]' });
  const accepted = [wanted.publicKey, other];
  assert.deepEqual(differences({ ...wanted, accepted }, shows(other)), {});
  assert.deepEqual(differences({ ...wanted, accepted }, shows('another')), {
    'weft.network/public-key': wanted.publicKey,
  });
  assert.deepEqual(differences({ ...wanted, rotated: 'x' }, shows(wanted.publicKey)), {
    'weft.network/key-rotated': 'x',
  });
});

test('publishes not before it has seen the Node, then once', async t => {
  const { clock, patches, publisher } = setUp(t);
  const it = publisher();
  t.after(() => it.close());
  it.want(wanted);
  await clock.advance(60_000);
  assert.equal(patches.length, 0);
  it.saw({});
  await clock.advance(600_000);
  assert.equal(patches.length, 1);
  assert.deepEqual(it.publication(), { before: false, at: patches[0]?.at });
});

test('retries with growing pauses, and says why a refusal is one', async t => {
  const { clock, log, patches, publisher, fail } = setUp(t);
  const it = publisher();
  t.after(() => it.close());
  fail(new ApiError('403 denied', { status: 403 }));
  it.saw({});
  it.want(wanted);
  await clock.advance(30_000);
  const tries = log.lines.filter(l => l.level === 'warn').length;
  assert.ok(tries >= 4 && tries <= 7, `${tries} tries in 30 s`);
  assert.match(log.lines[0]?.message ?? '', /ClusterRole and ValidatingAdmissionPolicy/);
  fail();
  await clock.advance(60_000);
  assert.equal(patches.length, 1);
});

test('two writers that undo each other write less and less', async t => {
  const { clock, patches, publisher } = setUp(t);
  const it = publisher();
  t.after(() => it.close());
  it.want(wanted);
  for (let second = 0; second < 600; second += 1) {
    it.saw({ 'weft.network/public-key': 'theirs' });
    await clock.advance(1_000);
  }
  assert.ok(patches.length >= 5 && patches.length <= 80, `${patches.length} patches in ten minutes`);
});

test('an Event is what Kubernetes wants, once an hour for the same words', async t => {
  const { clock, posts, events } = setUp(t);
  for (let n = 0; n < 10; n += 1) events.post('NewKey', `x${'y'.repeat(2_000)}`);
  await clock.advance(3_000_000);
  assert.equal(posts.length, 1);
  const event = posts[0]?.body ?? {};
  assert.deepEqual(event.involvedObject, { apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'uid-a' });
  assert.match((event.metadata as { name: string }).name, /^a\.[0-9a-f]+$/);
  assert.equal((event.message as string).length, 1_024);
  assert.equal(event.type, 'Warning');
  assert.match(event.firstTimestamp as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  await clock.advance(700_000);
  events.post('NewKey', `x${'y'.repeat(2_000)}`);
  await clock.advance(1_000);
  assert.equal(posts.length, 2);
});

test('a flood of Events becomes ten, then one each half minute', async t => {
  const { clock, posts, events } = setUp(t);
  for (let n = 0; n < 1_000; n += 1) events.post('Flood', `number ${n}`);
  await clock.advance(1_000);
  assert.equal(posts.length, 10);
  await clock.advance(300_000);
  assert.ok(posts.length >= 17 && posts.length <= 21, `${posts.length} after five minutes`);
});

test('an Event waits for the server, and one that it refuses holds up no other', async t => {
  const { clock, posts, events, fail } = setUp(t);
  fail(new ApiError('ECONNREFUSED', { reason: 'ECONNREFUSED' }));
  events.post('First', 'one');
  await clock.advance(5_000);
  fail(new ApiError('422 invalid', { status: 422 }));
  await clock.advance(20_000);
  fail();
  events.post('Second', 'two');
  await clock.advance(30_000);
  assert.deepEqual(
    posts.map(p => p.body.reason),
    ['Second'],
  );
});
