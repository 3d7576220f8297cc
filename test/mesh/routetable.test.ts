/** The list of routes is compared only where it, or what is wanted, has changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WG_LINK } from '../../constants.ts';
import { plan } from '../../mesh/plan.ts';
import { openRouteTable } from '../../mesh/routetable.ts';
import { openFake } from '../../platform/linux/fake.ts';
import type { Endpoint, PublicKey } from '../../types.ts';
import { facts, node } from './facts.ts';

async function bed() {
  const kernel = openFake();
  await kernel.links.add({ name: WG_LINK, kind: 'wireguard' });
  await kernel.links.change(WG_LINK, { up: true });
  const first = plan(facts([node(1), node(2), node(3)]));
  for (const ip of first.self.gateways)
    await kernel.addresses.add({ link: WG_LINK, address: `${ip}/${ip.includes(':') ? 128 : 32}` });
  const table = openRouteTable(kernel);
  const again = () => {
    table.is(undefined);
    return table;
  };
  for (const route of (await table.diff(first)).add) await kernel.routes.replace(route);
  return { kernel, first, again };
}

test('a peer that moves is no reason to compare', async () => {
  const { first, again } = await bed();
  const clean = await again().diff(first);
  assert.deepEqual(clean, { add: [], change: [], remove: [] });
  const moved = node(3, { endpoints: [{ t: 'ext', a: '203.0.113.99:51820' as Endpoint }] });
  assert.equal(await again().diff(plan(facts([node(1), node(2), moved]))), clean);
});

test('networks, limits and peers that come and go are', async () => {
  const { first, again } = await bed();
  const of = async (nodes: readonly ReturnType<typeof node>[], given = {}) => {
    await again().diff(first);
    const { add, change, remove } = await again().diff(plan(facts(nodes, given)));
    return [add, change, remove].map(routes => routes.map(({ dst }) => dst));
  };
  assert.deepEqual(await of([node(1), node(2), node(3), node(4)]), [
    ['10.42.4.0/24', 'fd42:0:0:4::/64'],
    [],
    [],
  ]);
  assert.deepEqual(await of([node(1), node(2)]), [[], [], ['10.42.3.0/24', 'fd42:0:0:3::/64']]);
  const key = first.peers[0]?.publicKey as PublicKey;
  const limits = new Map([[key, { mtu: 1300, why: 'underlay' as const }]]);
  const changed = (await of([node(1), node(2), node(3)], { limits }))[1];
  assert.deepEqual(changed, ['10.42.2.0/24', 'fd42:0:0:2::/64']);
});

test('a route that somebody takes away is wanted again', async () => {
  const { kernel, first, again } = await bed();
  await again().diff(first);
  const [gone] = (await kernel.routes.ours()).filter(route => route.dst === '10.42.2.0/24');
  assert.ok(gone);
  await kernel.routes.remove(gone);
  assert.deepEqual((await again().diff(first)).add, [gone]);
});
