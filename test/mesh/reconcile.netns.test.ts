/** The mesh's reconciler on this machine's kernel: idle when all is in place, and mending what was undone. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BRIDGE, WG_LINK } from '../../constants.ts';
import { type Outcome, openMesh } from '../../mesh/reconcile.ts';
import { openFake } from '../../platform/linux/fake.ts';
import { type LinuxKernel, openKernel } from '../../platform/linux/kernel.ts';
import type { TableMemo } from '../../platform/linux/table.ts';
import type { Kernel } from '../../platform/linux/types.ts';
import type { Cidr, Ip, PublicKey } from '../../types.ts';
import { enterLab } from '../lab/reenter.ts';
import { facts, key, node } from './facts.ts';

await enterLab(import.meta.filename);

/** 32 bytes of 7, and their public key by `wg pubkey`. */
const OWN = {
  privateKey: key(7) as string,
  publicKey: 'E75P6uryBMf9M1j8nAByGIHRdCeBKCJ+xnTzf3/pe20=' as PublicKey,
};
const NODES = [node(1), node(2, { publicKey: key(102) }), node(3, { publicKey: key(103) })];

function roomOn(kernel: Kernel): { readonly pass: () => Promise<Outcome> } {
  const memos = new Map<string, TableMemo>();
  let now = 1_000_000;
  const { reconcile } = openMesh({
    kernel,
    memos: { get: table => memos.get(table), set: async (table, memo) => void memos.set(table, memo) },
    now: () => now,
  });
  return {
    pass: () => {
      now += 10_000;
      const own = { self: { name: 'node1', publicKey: OWN.publicKey } };
      const publication = { before: true, at: 0 };
      return reconcile({ facts: facts(NODES, own), key: OWN, publication, sweep: true });
    },
  };
}

/** What the mesh has made, in the words of the kernel's own verbs. */
async function made(kernel: Kernel): Promise<unknown> {
  const ours = [BRIDGE, WG_LINK];
  const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  const links = (await kernel.links.list()).filter(link => ours.includes(link.name));
  const device = await kernel.wg.dump(WG_LINK);
  return {
    links: links.map(({ name, mtu, up }) => ({ name, mtu, up })).sort(byText),
    addresses: (await kernel.addresses.list())
      .filter(a => ours.includes(a.link) && !a.address.startsWith('fe80:'))
      .sort(byText),
    routes: [...(await kernel.routes.ours())].sort(byText),
    forwarding: [
      await kernel.sysctls.read('ipv4/ip_forward'),
      await kernel.sysctls.read('ipv6/conf/all/forwarding'),
      await kernel.sysctls.read(`ipv4/conf/${BRIDGE}/rp_filter`),
    ],
    device: device && {
      publicKey: device.publicKey,
      listenPort: device.listenPort,
      peers: device.peers
        .map(({ publicKey, endpoint, allowedIps, keepalive }) => ({
          publicKey,
          endpoint,
          allowedIps: [...allowedIps].sort(),
          keepalive,
        }))
        .sort(byText),
    },
  };
}

let kernel: LinuxKernel;
let room: ReturnType<typeof roomOn>;

before(() => {
  kernel = openKernel();
  room = roomOn(kernel);
});

after(async () => {
  await kernel.links.remove(WG_LINK).catch(() => {});
  await kernel.close();
});

async function idle(): Promise<void> {
  const counts = kernel.counts();
  const outcome = await room.pass();
  assert.deepEqual([outcome.errors, outcome.changes], [[], 0]);
  assert.deepEqual(kernel.counts(), { spawns: counts.spawns + 1, changes: counts.changes });
}

test('the first pass makes what the fake kernel would have', async () => {
  const { errors, engine } = await room.pass();
  assert.deepEqual(errors, []);
  assert.notEqual(engine.kind, 'none');
  const fake = openFake();
  assert.deepEqual((await roomOn(fake).pass()).errors, []);
  assert.deepEqual(await made(kernel), await made(fake));
});

test('the passes after it change nothing and spawn only nft list', async () => {
  await room.pass();
  await idle();
  await idle();
});

const hands: readonly (readonly [string, (k: Kernel) => Promise<void>])[] = [
  ['the tunnel goes down', k => k.links.change(WG_LINK, { up: false })],
  ['the bridge goes down', k => k.links.change(BRIDGE, { up: false })],
  [
    'a route is deleted',
    k =>
      k.routes.remove({
        dst: '10.42.2.0/24' as Cidr,
        kind: 'unicast',
        link: WG_LINK,
        src: '10.42.1.1' as Ip,
      }),
  ],
  ['an address is deleted', k => k.addresses.remove({ link: WG_LINK, address: '10.42.1.1/32' })],
  ['a peer is removed', k => k.wg.set(WG_LINK, [{ kind: 'remove', publicKey: key(102) }])],
  ['the table is deleted', k => k.nft.apply('delete table inet weft')],
  ['a rule is added', k => k.nft.apply('table inet weft {\n chain egress {\n accept\n }\n}')],
  ['the bridge is deleted', k => k.links.remove(BRIDGE)],
];
for (const [what, hand] of hands)
  test(`${what}: mended by the next pass`, async () => {
    const whole = { made: await made(kernel), table: await kernel.nft.list('inet', 'weft') };
    await hand(kernel);
    const outcome = await room.pass();
    assert.deepEqual(outcome.errors, []);
    assert.ok(outcome.changes > 0);
    assert.deepEqual({ made: await made(kernel), table: await kernel.nft.list('inet', 'weft') }, whole);
    await idle();
  });

test('the tunnel is deleted: made anew with all its peers', async () => {
  const whole = await made(kernel);
  await kernel.links.remove(WG_LINK);
  await room.pass();
  assert.deepEqual((await room.pass()).errors, []);
  assert.deepEqual(await made(kernel), whole);
  await idle();
});
