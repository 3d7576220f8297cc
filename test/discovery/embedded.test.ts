/** The whole of discovery against the embedded API server that the demo uses, through its troubles. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openClient } from '../../discovery/client.ts';
import { startDiscovery } from '../../discovery/discovery.ts';
import { generateKey } from '../../mesh/key.ts';
import type { Endpoint } from '../../types.ts';
import type { Faults } from '../apiserver/faults.ts';
import { RESOURCES, type Resource } from '../apiserver/resources.ts';
import { startApiServer } from '../apiserver/server.ts';
import { fastClock, memoryLog, quick, temporaryFolder, until } from './helpers.ts';

const resource = (plural: string): Resource => RESOURCES.find(r => r.plural === plural) as Resource;
const NODES = resource('nodes');

async function setUp(t: TestContext) {
  const api = await startApiServer({ token: 'secret' });
  const folder = temporaryFolder();
  const kubeconfig = join(folder.path, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig());
  const client = await openClient({ kubeconfig, timeoutMs: 500 });
  const log = memoryLog();
  const add = (name: string, cidr?: string, annotations: Record<string, string> = {}) =>
    api.store.create(NODES, undefined, {
      metadata: { name, annotations },
      ...(cidr !== undefined && { spec: { podCIDRs: [cidr] } }),
      status: { addresses: [{ type: 'InternalIP', address: '192.168.1.7' }] },
    });
  add('a', '10.42.0.0/24');
  add('b', '10.42.1.0/24');
  const discovery = await startDiscovery({
    client,
    nodeName: 'a',
    stateDir: join(folder.path, 'state'),
    log,
    onChange: () => {},
    clock: fastClock,
    limits: { ...quick, silenceMs: 400, headersMs: 300 },
  });
  t.after(async () => {
    api.order({});
    await discovery.close();
    client.close();
    await api.stop();
    folder.remove();
  });
  const names = () => discovery.facts().map(fact => fact.name);
  const whole = () =>
    discovery.facts().length >= 2 && discovery.facts().every(fact => fact.podCidrs.length > 0);
  await until(whole, 'both Nodes');
  return { api, discovery, log, add, names };
}

const TROUBLES: readonly (readonly [string, Faults])[] = [
  ['500 to everything', { status: 500 }],
  ['401 to everything', { status: 401 }],
  ['429 to everything', { status: 429 }],
  ['connections closed without an answer', { close: true }],
  ['requests that are never answered', { hang: true }],
  ['events cut in the middle of a line', { truncate: true }],
  ['410 to every watch', { expireWatch: true }],
  ['empty lists and 410', { emptyList: true, expireWatch: true }],
];

for (const [name, faults] of TROUBLES)
  test(`${name}: what is known stays, what happened meanwhile comes after`, async t => {
    const { api, discovery, add, names } = await setUp(t);
    api.order(faults);
    api.dropWatches();
    add('c', '10.42.2.0/24');
    api.store.remove(NODES, undefined, 'b');
    await until(() => discovery.state().restarts >= 2, 'two tries');
    assert.ok(names().includes('a'));
    assert.deepEqual(discovery.own()?.fact.podCidrs, ['10.42.0.0/24']);
    api.order({});
    await until(() => names().join() === 'a,c', 'c and not b');
    await until(() => discovery.facts()[1]?.podCidrs[0] === '10.42.2.0/24', 'podCIDR of c');
    await until(() => discovery.state().connected, 'the watch');
  });

test('a slow server is slow and nothing else', async t => {
  const { api, discovery, add, names } = await setUp(t);
  api.order({ delayMs: 150 });
  api.dropWatches();
  add('c', '10.42.2.0/24');
  api.store.remove(NODES, undefined, 'b');
  await until(() => names().join() === 'a,c', 'c and not b');
  await until(() => discovery.facts()[1]?.podCidrs[0] === '10.42.2.0/24', 'podCIDR of c');
  assert.ok(discovery.state().synced);
});

test('a server that is killed and comes back: published again, nothing lost', async t => {
  const { api, discovery, add, names } = await setUp(t);
  const want = {
    publicKey: generateKey().publicKey,
    endpoints: [{ t: 'host' as const, a: '192.168.1.7:51820' as Endpoint }],
  };
  await api.stop();
  discovery.publish(want);
  await until(() => discovery.state().restarts >= 2, 'two tries');
  assert.deepEqual(names(), ['a', 'b']);
  add('c', '10.42.2.0/24');
  await api.start();
  await until(() => discovery.own()?.fact.publicKey === want.publicKey, 'our key on our Node');
  await until(() => names().join() === 'a,b,c', 'c');
  assert.deepEqual(discovery.own()?.fact.endpoints, want.endpoints);
});

test('a Node made anew under its old name takes the place of the old one', async t => {
  const { api, discovery, add } = await setUp(t);
  const before = discovery.facts()[1]?.uid;
  api.store.remove(NODES, undefined, 'b');
  add('b', '10.42.9.0/24');
  await until(() => discovery.facts()[1]?.podCidrs[0] === '10.42.9.0/24', 'the new podCIDR');
  assert.equal(discovery.facts().length, 2);
  assert.notEqual(discovery.facts()[1]?.uid, before);
});

test('an Event of ours is an object that the server takes', async t => {
  const { api, discovery, log } = await setUp(t);
  discovery.event('KeyReplaced', 'the key on disk belongs to another node', 'Normal');
  const events = () => api.store.list(resource('events'));
  const refused = () => log.lines.filter(line => /an Event cannot be posted/.test(line.message));
  await until(() => events().length > 0 || refused().length > 0, 'the Event');
  assert.deepEqual(refused(), []);
  const [event] = events() as unknown as { reason: string; involvedObject: { uid: string } }[];
  assert.equal(event?.reason, 'KeyReplaced');
  assert.equal(event?.involvedObject.uid, discovery.own()?.fact.uid);
});

test('once published, an idle hour of bookmarks and of other people’s changes writes nothing', async t => {
  const { api, discovery } = await setUp(t);
  const publicKey = generateKey().publicKey;
  discovery.publish({ publicKey, endpoints: [] });
  await until(() => discovery.own()?.fact.publicKey === publicKey, 'our key');
  const before = api.store.version();
  let ours = 0;
  const stop = api.store.subscribe(() => {
    ours += 1;
  });
  for (let n = 0; n < 30; n += 1) {
    api.store.patch(NODES, undefined, 'b', { metadata: { labels: { n: String(n) } } }, 'main');
    api.store.patch(NODES, undefined, 'a', { metadata: { labels: { n: String(n) } } }, 'main');
    discovery.publish({ publicKey, endpoints: [] });
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  await new Promise(resolve => setTimeout(resolve, 200));
  stop();
  assert.equal(ours, 60);
  assert.equal(api.store.version(), before + 60);
});
