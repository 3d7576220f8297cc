/** What a test can order of the embedded API server, beyond what the contract suite holds it to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bedOf, type Event, MERGE, UNREADABLE } from '../contract/apiserver.bed.ts';
import type { Faults } from './faults.ts';
import { NODES } from './resources.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from './server.ts';

const types = (events: readonly Event[]): string[] => events.map(event => event.type);

const PATH = '/api/v1/nodes';

async function setUp(t: TestContext, options: ApiServerOptions = {}) {
  const api = await startApiServer({ token: 'secret', ...options });
  const bed = bedOf({
    url: api.url,
    token: 'secret',
    ...(api.ca !== undefined && { ca: api.ca }),
    forget: async () => api.store.forget(),
    stop: api.stop,
  });
  t.after(() => bed.close());
  return { api, bed };
}

const add = (api: ApiServer, name: string) => api.store.create(NODES, undefined, { metadata: { name } });

test('what a test does to the store is seen by watches, and the other way round', async t => {
  const { api, bed } = await setUp(t);
  const watch = await bed.watch(`${PATH}?watch=true&resourceVersion=${api.store.version()}`);
  add(api, 'a');
  assert.equal((await watch.next()).object.metadata.name, 'a');
  const body = { metadata: { annotations: { 'weft.network/x': '1' } } };
  await bed.call(`${PATH}/a`, { method: 'PATCH', contentType: MERGE, body });
  assert.equal(api.store.get(NODES, undefined, 'a').metadata.annotations?.['weft.network/x'], '1');
});

const REFUSALS: readonly (readonly [Faults, number, string])[] = [
  [{ status: 500 }, 500, 'InternalError'],
  [{ status: 401 }, 401, 'Unauthorized'],
  [{ status: 429, retryAfter: 1 }, 429, 'TooManyRequests'],
  [{ status: 503 }, 503, 'ServiceUnavailable'],
];

for (const [faults, code, reason] of REFUSALS)
  test(`trouble: ${code} to everything, then nothing`, async t => {
    const { api, bed } = await setUp(t);
    api.order(faults);
    const answer = await bed.call(PATH);
    assert.deepEqual([answer.status, answer.json.reason, answer.json.code], [code, reason, code]);
    api.order({});
    assert.equal((await bed.call(PATH)).status, 200);
  });

test('trouble: connections closed without an answer; requests never answered', async t => {
  const { api, bed } = await setUp(t);
  api.order({ close: true });
  await assert.rejects(bed.call(PATH), { code: 'ECONNRESET' });
  api.order({ hang: true });
  const hanging = bed.call(PATH).then(
    () => 'answered',
    () => 'cut',
  );
  assert.equal(
    await Promise.race([hanging, new Promise(resolve => setTimeout(resolve, 200, 'silence'))]),
    'silence',
  );
  await api.stop();
  assert.equal(await hanging, 'cut');
  await api.start();
});

test('trouble: only for some requests', async t => {
  const { api, bed } = await setUp(t);
  api.order({ status: 500, only: { method: 'GET', watch: false, path: /nodes$/ } });
  assert.equal((await bed.call(PATH)).status, 500);
  assert.equal((await bed.call('/api/v1/pods')).status, 200);
  assert.equal((await bed.watch(`${PATH}?watch=true`)).status, 200);
  assert.equal((await bed.call(PATH, { method: 'POST', body: { metadata: { name: 'a' } } })).status, 201);
});

test('trouble: lists that are empty, or of long ago', async t => {
  const { api, bed } = await setUp(t);
  add(api, 'a');
  const then = api.store.version();
  add(api, 'b');
  api.order({ emptyList: true });
  assert.deepEqual((await bed.call(PATH)).json.items, []);
  api.order({ staleList: then });
  const { json } = await bed.call(PATH);
  assert.equal(json.metadata.resourceVersion, String(then));
  assert.equal(json.items.length, 1);
});

test('trouble: watches that expire, are silent, cut, garbled, dropped', async t => {
  const { api, bed } = await setUp(t);
  const open = () => bed.watch(`${PATH}?watch=true&resourceVersion=${api.store.version()}`);
  api.order({ expireWatch: true });
  const [error] = await (await open()).rest();
  assert.deepEqual([error?.type, error?.object.code], ['ERROR', 410]);

  api.order({ silentWatch: true });
  const silent = await open();
  add(api, 'a');
  await assert.rejects(silent.next(200), /no event came/);

  api.order({ truncate: true });
  const cut = await open();
  add(api, 'b');
  assert.deepEqual(types(await cut.rest()), [], 'half a line is no event');

  api.order({ garble: true });
  const garbled = await open();
  add(api, 'c');
  assert.equal((await garbled.next()).type, UNREADABLE, 'a line that is no JSON');

  api.order({});
  const dropped = await open();
  api.dropWatches();
  assert.deepEqual(await dropped.rest(), []);
});

test('a restart keeps objects and versions; with a new history old versions are 410', async t => {
  const { api, bed } = await setUp(t);
  const from = api.store.version();
  add(api, 'a');
  const watch = await bed.watch(`${PATH}?watch=true&resourceVersion=${from}`);
  await watch.next();
  await Promise.all([api.restart(), watch.rest()]);
  const again = await bed.watch(`${PATH}?watch=true&resourceVersion=${from}`);
  assert.equal((await again.next()).object.metadata.name, 'a');
  await api.restart({ forget: true });
  const [expired] = await (await bed.watch(`${PATH}?watch=true&resourceVersion=${from}`)).rest();
  assert.equal(expired?.object.code, 410);
  assert.equal((await bed.call(PATH)).json.items.length, 1);
});

test('bookmarks as often as a test wants them', async t => {
  const { api, bed } = await setUp(t, { bookmarkMs: 20 });
  const watch = await bed.watch(
    `${PATH}?watch=true&allowWatchBookmarks=true&resourceVersion=${api.store.version()}`,
  );
  const { type, object } = await watch.next();
  assert.deepEqual([type, object.metadata.resourceVersion], ['BOOKMARK', String(api.store.version())]);
});

test('one line of log for each request', async t => {
  const lines: string[] = [];
  const { bed } = await setUp(t, { log: line => lines.push(line) });
  await bed.call(PATH);
  await bed.call(`${PATH}/none`);
  assert.deepEqual(
    lines.map(line => line.replace(/\d+ ms$/, 'ms')),
    ['GET /api/v1/nodes 200 ms', 'GET /api/v1/nodes/none 404 ms'],
  );
});

test('a strategic merge is taken where it means the same, refused where it does not', async t => {
  const { api, bed } = await setUp(t);
  add(api, 'a');
  const send = (body: unknown) =>
    bed.call(`${PATH}/a`, { method: 'PATCH', contentType: 'application/strategic-merge-patch+json', body });
  assert.equal((await send({ spec: { unschedulable: true } })).json.spec.unschedulable, true);
  assert.equal((await send({ spec: { taints: [] } })).status, 415);
  assert.equal((await send({ metadata: { $patch: 'replace' } })).status, 415);
});

const openssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

test('TLS, and a kubeconfig that carries its authority', {
  skip: openssl ? false : 'openssl is not installed',
}, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    join(folder, 'key'),
  ];
  const names = ['-subj', '/CN=weft', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', ...key, ...names, '-out', join(folder, 'cert')], {
    stdio: 'ignore',
  });
  const [cert, privateKey] = ['cert', 'key'].map(file => readFileSync(join(folder, file), 'utf8')) as [
    string,
    string,
  ];
  const { api, bed } = await setUp(t, { tls: { cert, key: privateKey, ca: cert } });
  assert.match(api.url, /^https:/);
  assert.equal((await bed.call(PATH)).status, 200);
  const { clusters, users } = JSON.parse(api.kubeconfig());
  assert.equal(Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64').toString(), cert);
  assert.deepEqual([clusters[0].cluster.server, users[0].user], [api.url, { token: 'secret' }]);
});

test('a thousand Nodes, a hundred watches: everybody hears of everything', async t => {
  const { api, bed } = await setUp(t, { history: 5_000 });
  for (let n = 0; n < 1_000; n += 1) add(api, `n${n}`);
  const from = api.store.version();
  const watches = await Promise.all(
    Array.from({ length: 100 }, () =>
      bed.watch(`${PATH}?watch=true&resourceVersion=${from}&timeoutSeconds=3`),
    ),
  );
  for (let n = 0; n < 1_000; n += 10)
    api.store.patch(NODES, undefined, `n${n}`, { metadata: { annotations: { x: 'y' } } }, 'main');
  const heard = await Promise.all(watches.map(watch => watch.rest()));
  assert.deepEqual(new Set(heard.map(events => events.length)), new Set([100]));
  let pages = 0;
  const names = new Set<string>();
  for (let more = ''; pages === 0 || more !== ''; pages += 1) {
    const { json } = await bed.call(`${PATH}?limit=200${more && `&continue=${more}`}`);
    for (const item of json.items) names.add(item.metadata.name);
    more = json.metadata.continue ?? '';
  }
  assert.deepEqual([pages, names.size], [5, 1_000]);
});
