/** Nodes whose addresses change, whose keys clash, whose Nodes are made anew: who is touched, and who is not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Lab,
  type Member,
  NODES,
  nodeObject,
  startLab,
  untilInstalled,
  untilMeshed,
} from '../lab/lab.ts';
import { answers, untilAnswers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { assertLossless } from '../lab/traffic.ts';
import { LAB } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let members: readonly Member[];
let pods: readonly Pod[];

before(async () => {
  lab = await startLab();
  members = await Promise.all([1, 2, 3].map(number => lab.join(number)));
  await Promise.all(members.map(m => untilInstalled(m)));
  pods = await Promise.all(members.map(m => addPod(m, `pod${m.number}`)));
  await untilMeshed(members);
});

after(async () => lab?.end());

const annotation = (node: string, name: string): string =>
  lab.api.store.get(NODES, undefined, node).metadata.annotations?.[`weft.network/${name}`] ?? '';

const reached = (from: Pod, to: Pod, withinMs: number): Promise<true> =>
  untilAnswers(from, to.v4 ?? '', withinMs);

test('a new address is published, an address that goes is withdrawn, and nothing in between', async () => {
  const [, b] = members as [Member, Member, Member];
  const before = annotation(b.name, 'endpoints');
  await b.namespace.run(['ip', 'address', 'add', '192.0.2.102/24', 'dev', 'eth0']);
  await until(
    'the new address',
    () => annotation(b.name, 'endpoints').includes('192.0.2.102:51820') || undefined,
    5_000,
    20,
  );
  await b.namespace.run(['ip', 'address', 'del', '192.0.2.102/24', 'dev', 'eth0']);
  await until('the old list', () => annotation(b.name, 'endpoints') === before || undefined, 5_000, 20);
  const version = lab.api.store.version();
  await sleep(2_000);
  assert.equal(lab.api.store.version(), version);
});

test('a node that moves to another address is reached again, and the others lose nothing', async () => {
  const [, b] = members as [Member, Member, Member];
  const [podA, podB, podC] = pods as [Pod, Pod, Pod];
  let at = '192.0.2.2';
  let moves = 0;
  await assertLossless(podA, podC, 5, async () => {
    await sleep(500);
    moves += 1;
    const to = `192.0.2.${200 + moves}`;
    const move = `ip address del ${at}/24 dev eth0; ip address add ${to}/24 dev eth0; ip route replace default via ${LAB.v4}`;
    await b.namespace.run(['sh', '-ec', move]);
    at = to;
    await Promise.all([reached(podA, podB, 10_000), reached(podB, podC, 10_000)]);
  });
  await until('the new endpoint', () => annotation(b.name, 'endpoints').includes(`${at}:51820`) || undefined);
});

test('a Node that copies another’s key harms only itself', async () => {
  const [a, , c] = members as [Member, Member, Member];
  const [podA, , podC] = pods as [Pod, Pod, Pod];
  lab.api.store.create(NODES, undefined, {
    ...nodeObject(9),
    metadata: { name: 'thief', annotations: { 'weft.network/public-key': annotation(c.name, 'public-key') } },
  });
  const refused = await until('the thief to be refused', async () =>
    (await a.status())?.excluded.find(e => e.node === 'thief' && !e.reason.includes('no spec.podCIDRs yet')),
  );
  assert.match(refused.reason, /key of the older Node node3/);
  assert.ok(await answers(podA, podC.v4 ?? ''));
  lab.api.store.remove(NODES, undefined, 'thief');
});

test('a Node with the podCIDR of another is refused, with the reason', async () => {
  const [a] = members as [Member, Member, Member];
  const [podA, podB] = pods as [Pod, Pod, Pod];
  lab.api.store.create(NODES, undefined, {
    ...nodeObject(2),
    metadata: {
      name: 'double',
      annotations: { 'weft.network/public-key': Buffer.alloc(32, 9).toString('base64') },
    },
  });
  const refused = await until('the double to be refused', async () =>
    (await a.status())?.excluded.find(e => e.node === 'double' && !e.reason.includes('no spec.podCIDRs yet')),
  );
  assert.match(refused.reason, /overlaps .* of the older Node node2/);
  assert.ok(await answers(podA, podB.v4 ?? ''));
  lab.api.store.remove(NODES, undefined, 'double');
});

test('an agent whose key an older Node shows makes a new one', async () => {
  const d = await lab.join(4);
  await untilInstalled(d);
  const key = await until('its key', () => annotation(d.name, 'public-key') || undefined);
  await d.stop();
  // As after a clone whose original joined first: the other Node is the older one.
  lab.api.store.remove(NODES, undefined, d.name);
  lab.api.store.create(NODES, undefined, {
    ...nodeObject(8),
    metadata: { name: 'original', annotations: { 'weft.network/public-key': key } },
  });
  await sleep(1_100);
  lab.api.store.create(NODES, undefined, nodeObject(4));
  d.start();
  const fresh = await until('a new key', () => {
    const now = annotation(d.name, 'public-key');
    return now !== '' && now !== key ? now : undefined;
  });
  assert.notEqual(fresh, key);
  lab.api.store.remove(NODES, undefined, 'original');
  await reached(pods[0] as Pod, await addPod(d, 'pod4'), 15_000);
});

test('nodes lose their places in the API and get them back: the tunnels come and go with them', async () => {
  const [podA, , podC] = pods as [Pod, Pod, Pod];
  const [, , c] = members as [Member, Member, Member];
  lab.api.store.remove(NODES, undefined, c.name);
  await until('node3 to be gone', async () =>
    (await members[0]?.status())?.peers.some(p => p.node === 'node3') ? undefined : true,
  );
  assert.equal(await answers(podA, podC.v4 ?? ''), false);
  lab.api.store.create(NODES, undefined, nodeObject(3));
  await reached(podA, podC, 15_000);
});
