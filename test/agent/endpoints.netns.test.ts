/** Nodes whose addresses change, whose keys clash, whose Nodes are made anew: who is touched, and who is not. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { assertLossless, assertResumes } from '../lab/traffic.ts';
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

/** Its IPv4 address; whatever it was, it is gone before. */
const moveTo = (m: Member, to: string): Promise<string> =>
  m.namespace.run([
    'sh',
    '-ec',
    `ip -4 address flush dev eth0; ip address add ${to}/24 dev eth0; ip route replace default via ${LAB.v4}`,
  ]);

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
  let at = '';
  let moves = 0;
  await assertLossless(podA, podC, 5, async () => {
    await sleep(500);
    moves += 1;
    at = `192.0.2.${200 + moves}`;
    await moveTo(b, at);
    await Promise.all([reached(podA, podB, 10_000), reached(podB, podC, 10_000)]);
  });
  await until('the new endpoint', () => annotation(b.name, 'endpoints').includes(`${at}:51820`) || undefined);
});

/** What `b` is reached by from `a`. */
const endpointOf = async (a: Member, b: Member): Promise<string> =>
  (await a.status())?.peers.find(p => p.node === b.name)?.endpoint ?? '';

const sh = (m: Member, ...lines: readonly string[]): Promise<string> =>
  m.namespace.run(['sh', '-ec', lines.join('\n')]);

const FLUSH = {
  v4: 'ip -4 address flush dev eth0',
  v6: 'ip -6 address flush dev eth0 scope global',
} as const;

const withFamilies = (m: Member): Promise<string> =>
  sh(
    m,
    FLUSH.v4,
    FLUSH.v6,
    `ip address add ${m.address.v4}/24 dev eth0; ip route replace default via ${LAB.v4}`,
    `ip -6 address add ${m.address.v6}/64 dev eth0 nodad; ip -6 route replace default via ${LAB.v6}`,
  );

/** With the API server away, and all as it was at the end. */
async function alone(mover: Member, work: () => Promise<void>): Promise<void> {
  const [a] = members as [Member, Member, Member];
  const [podA, podB] = pods as [Pod, Pod, Pod];
  await withFamilies(mover);
  await reached(podA, podB, 10_000);
  await lab.api.stop();
  try {
    await work();
  } finally {
    await lab.api.start();
    await withFamilies(mover);
  }
  await reached(podA, podB, 15_000);
  await until('the server to be there', async () => (await a.status())?.api.connected || undefined, 40_000);
}

const RESUMES_MS = 2_000;

test('a node that moves while the API server is away says so: traffic to it stands still for 2 s at most', async () => {
  const [a, b] = members as [Member, Member, Member];
  const [podA, podB] = pods as [Pod, Pod, Pod];
  let last = 220;
  await alone(b, () =>
    assertResumes(podA, podB, 6, RESUMES_MS, async () => {
      await sleep(1_000);
      last += 1;
      // Whichever address is in use, it is gone.
      const inUse = (await endpointOf(a, b)).startsWith('[') ? 'v6' : 'v4';
      const next =
        inUse === 'v6'
          ? `ip -6 address add 2001:db8::${last}/64 dev eth0 nodad; ip -6 route replace default via ${LAB.v6}`
          : `ip address add 192.0.2.${last}/24 dev eth0; ip route replace default via ${LAB.v4}`;
      await sh(b, FLUSH[inUse], next);
    }),
  );
});

test('a node that loses the family by which it is reached goes on by the other one', async () => {
  const [a, b] = members as [Member, Member, Member];
  const [podA, podB] = pods as [Pod, Pod, Pod];
  const whole = async (): Promise<unknown> => {
    await withFamilies(b);
    return reached(podA, podB, 10_000);
  };
  const lose = async (): Promise<void> => {
    await sleep(1_000);
    await sh(b, FLUSH[(await endpointOf(a, b)).startsWith('[') ? 'v6' : 'v4']);
  };
  await alone(b, () => assertResumes(podA, podB, 6, RESUMES_MS, lose, whole));
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

test('a host that comes back under another name is a Node of its own, and the others lose nothing over all of it', async () => {
  const [podA, , podC] = pods as [Pod, Pod, Pod];
  const host = await lab.join(5);
  await untilInstalled(host);
  await reached(podA, await addPod(host, 'pod5'), 15_000);
  const key = annotation(host.name, 'public-key');
  const named = nodeObject(6);
  let round = 0;
  await assertLossless(podA, podC, 12, async () => {
    round += 1;
    const name = `renamed${round}`;
    await host.stop();
    lab.api.store.create(NODES, undefined, { ...named, metadata: { name } });
    host.start({}, name);
    await until('the new Node’s key', () => annotation(name, 'public-key') || undefined);
    assert.notEqual(annotation(name, 'public-key'), key, 'a key belongs to one Node');
    const again = await addPod(host, `again${round}`);
    for (const pod of [podA, podC]) {
      await reached(pod, again, 15_000);
      await reached(again, pod, 15_000);
    }
    if (round === 1) lab.api.store.remove(NODES, undefined, host.name);
    await sleep(1_000);
    for (const pod of [podA, podC]) assert.ok(await answers(again, pod.v4 ?? ''));
    lab.api.store.remove(NODES, undefined, name);
  });
});

test('an endpoint by a name is followed to the name’s new address, where the node cannot call', async () => {
  const [a, b] = members as [Member, Member, Member];
  const [podA, podB] = pods as [Pod, Pod, Pod];
  const hosts = (m: Member, address: string): void =>
    writeFileSync(join(lab.dir, m.name, 'hosts'), `${address} b.example\n`);
  const force = (m: Member, endpoint: string): unknown =>
    lab.api.store.patch(
      NODES,
      undefined,
      m.name,
      { metadata: { annotations: { 'weft.network/force-endpoint': endpoint } } },
      'main',
    );
  hosts(a, b.address.v4);
  force(b, 'b.example:51820');
  // So that it must be called: it knows no endpoint of the one that calls.
  force(a, '192.0.2.199:51820');
  await until(
    'the name to be in use',
    async () => (await endpointOf(a, b)) === `${b.address.v4}:51820` || undefined,
  );
  await reached(podA, podB, 15_000);
  await b.stop('SIGKILL');
  // Its WireGuard forgets where the others are.
  await b.namespace.run(['ip', 'link', 'del', 'weft-wg']);
  await moveTo(b, '192.0.2.240');
  hosts(a, '192.0.2.240');
  b.start();
  const from = performance.now();
  // Names are looked up every minute anyway.
  await reached(podA, podB, 35_000);
  process.stdout.write(`reached by name after ${Math.round(performance.now() - from)} ms\n`);
  assert.equal(await endpointOf(a, b), '192.0.2.240:51820');
});
