/** The mesh's reconciler on a kernel in memory: what it removes and mends, and steps that fail. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BRIDGE, WG_LINK } from '../../constants.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import type { Kernel, WgChange, WgDevice } from '../../platform/linux/types.ts';
import type { Cidr, Endpoint, Ip } from '../../types.ts';
import { key, node } from './facts.ts';
import { idle, newBed, other, peerKey, THREE } from './reconciled.ts';

describe('a node that is gone', () => {
  const two = THREE.slice(0, 2);

  test('stays while the list may be incomplete', async () => {
    const bed = newBed();
    await bed.pass();
    const printed = bed.kernel.print();
    assert.equal((await bed.pass(two, false)).changes, 0);
    assert.equal(bed.kernel.print(), printed);
  });

  test('goes with its routes once the list is whole; what nobody holds stays unreachable', async () => {
    const bed = newBed();
    await bed.pass();
    await bed.pass(two);
    const printed = bed.kernel.print();
    assert.doesNotMatch(printed, new RegExp(`${peerKey(3).slice(0, 20)}|10\\.42\\.3\\.0/24|fd42:0:0:3::/64`));
    assert.match(printed, /ip route add unreachable 10\.42\.0\.0\/16 /);
    assert.match(printed, new RegExp(peerKey(2).slice(0, 20)));
    await idle(bed, two);
  });

  test('facts from disk take nothing from a peer that is alive under a newer key', async () => {
    const bed = newBed();
    const heir = node(3, { publicKey: peerKey(4) });
    await bed.pass([node(1), other(2), heir]);
    bed.kernel.handshake(WG_LINK, peerKey(4), bed.now());
    bed.restart();
    const holder = async () =>
      (await bed.kernel.wg.dump(WG_LINK))?.peers.find(p => p.allowedIps.includes('10.42.3.0/24' as Cidr))
        ?.publicKey;
    await bed.pass(THREE, false);
    assert.equal(await holder(), peerKey(4));
    // Its session has ended, so the disk may be right.
    bed.advance(180_000);
    await bed.pass(THREE, false);
    assert.equal(await holder(), peerKey(3));
  });

  test('a podCIDR that moves to a new Node is never without a peer', async () => {
    const bed = newBed();
    await bed.pass();
    const heir = node(3, { uid: 'uid-3b', publicKey: peerKey(4) });
    const { wg } = bed.kernel;
    const calls: WgChange[][] = [];
    const set: typeof wg.set = (link, changes) => {
      calls.push([...changes]);
      return wg.set(link, changes);
    };
    await bed.pass([node(1), other(2), heir], true, { ...bed.kernel, wg: { ...wg, set } });
    assert.deepEqual(
      calls.map(call => call.map(change => change.kind)),
      [['peer']],
    );
    const there = async () =>
      (await bed.kernel.wg.dump(WG_LINK))?.peers.map(p => [p.publicKey, p.allowedIps]);
    const moved = [
      [peerKey(2), ['10.42.2.0/24', 'fd42:0:0:2::/64']],
      [peerKey(4), ['10.42.3.0/24', 'fd42:0:0:3::/64']],
    ];
    assert.deepEqual(
      (await there())?.filter(([key]) => key !== peerKey(3)),
      moved,
    );
    // Packets under way still go out by the old peer, which goes a second later.
    assert.deepEqual((await there())?.find(([key]) => key === peerKey(3))?.[1], []);
    bed.advance(1_000);
    await bed.pass([node(1), other(2), heir], true);
    assert.deepEqual(await there(), moved);
  });
});

const refused = async (): Promise<never> => {
  throw new LinuxError('EPERM', 'refused: EPERM');
};

describe('a step that fails', () => {
  const kinds: readonly (readonly [string, (kernel: Kernel) => Kernel, RegExp])[] = [
    ['fail-closed rules', k => ({ ...k, nft: { ...k.nft, apply: refused } }), /^nft /],
    ['peers', k => ({ ...k, wg: { ...k.wg, set: refused } }), /^wg /],
    ['sysctls', k => ({ ...k, sysctls: { ...k.sysctls, write: refused } }), /^sysctl /],
    ['unreachable routes', k => ({ ...k, routes: { ...k.routes, replace: refused } }), /^ip route /],
  ];
  for (const [step, broken, lines] of kinds)
    test(`${step}: the others are done, and the next pass does the rest`, async () => {
      const whole = newBed();
      await whole.pass();
      const bed = newBed();
      const outcome = await bed.pass(THREE, true, broken(bed.kernel));
      assert.ok(
        outcome.errors.some(e => e.step === step && e.message.includes('refused')),
        JSON.stringify(outcome.errors),
      );
      const without = (text: string) => text.split('\n').filter(line => !lines.test(line));
      assert.deepEqual(without(bed.kernel.print()), without(whole.kernel.print()));
      assert.notEqual(bed.kernel.print(), whole.kernel.print());
      bed.advance(10_000);
      assert.deepEqual((await bed.pass()).errors, []);
      assert.equal(bed.kernel.print(), whole.kernel.print());
    });

  test('no engine: the error names the cure, rules and unreachable routes hold', async () => {
    const bed = newBed({ wireguard: false });
    bed.kernel.plug(WG_LINK, 'dummy');
    const outcome = await bed.pass();
    assert.equal(outcome.device, undefined);
    const said = outcome.errors.find(e => e.step === 'wireguard')?.message ?? '';
    assert.match(said, /ip link delete weft-wg/);
    assert.match(bed.kernel.print(), /nft add chain inet weft ingress/);
    assert.match(bed.kernel.print(), /ip route add unreachable fd42::\/48/);
  });
});

describe('news of a move is kept until the peers could be set', () => {
  const old = '[2001:db8::2]:51820' as Endpoint;
  const rest = '192.0.2.2:51820' as Endpoint;
  const two = [
    node(1),
    node(2, {
      publicKey: peerKey(2),
      endpoints: [
        { t: 'host', a: old },
        { t: 'host', a: rest },
      ],
    }),
  ];
  /** A session lives, so that nothing but the move is a reason to set an endpoint. */
  const living = async () => {
    const bed = newBed();
    await bed.pass(two);
    bed.kernel.handshake(WG_LINK, peerKey(2), bed.now(), old);
    await bed.pass(two);
    return bed;
  };
  const inUse = async ({ kernel }: { readonly kernel: Kernel }) =>
    ((await kernel.wg.dump(WG_LINK)) as WgDevice).peers.map(peer => peer.endpoint);
  const only4 = ({ routes }: Kernel): Kernel['routes'] => ({
    ...routes,
    lookup: async ip => (ip.includes(':') ? undefined : { link: 'eth0', src: '192.0.2.1' as Ip }),
  });

  test('an endpoint out of reach is left at the next pass', async () => {
    const bed = await living();
    const { kernel } = bed;
    const broken = { ...kernel, routes: only4(kernel), wg: { ...kernel.wg, set: refused } };
    const outcome = await bed.pass(two, true, broken, { elsewhere: true });
    assert.deepEqual(
      outcome.errors.map(e => e.step),
      ['peers'],
    );
    assert.deepEqual(await inUse(bed), [old]);
    await bed.pass(two, true, { ...kernel, routes: only4(kernel) });
    assert.deepEqual(await inUse(bed), [rest]);
  });

  test('endpoints are set once more at the next pass, for another source, and then no more', async () => {
    const bed = await living();
    const { wg } = bed.kernel;
    await bed.pass(two, true, { ...bed.kernel, wg: { ...wg, set: refused } }, { moved: true });
    const set: WgChange[] = [];
    const noting: typeof wg.set = async (link, changes) => {
      set.push(...changes);
      return wg.set(link, changes);
    };
    const through = { ...bed.kernel, wg: { ...wg, set: noting } };
    await bed.pass(two, true, through);
    assert.deepEqual(set, [{ kind: 'peer', publicKey: peerKey(2), endpoint: old }]);
    await bed.pass(two, true, through);
    assert.equal(set.length, 1);
  });
});

describe('a foreign hand', () => {
  const damages: readonly (readonly [string, (kernel: Kernel) => Promise<void>])[] = [
    [
      'a tunnel route deleted',
      k =>
        k.routes.remove({
          dst: '10.42.2.0/24' as Cidr,
          kind: 'unicast',
          link: WG_LINK,
          src: '10.42.1.1' as Ip,
        }),
    ],
    [
      'a tunnel route sent elsewhere',
      k => k.routes.replace({ dst: '10.42.2.0/24' as Cidr, kind: 'unicast', link: BRIDGE }),
    ],
    [
      'an unreachable route deleted',
      async k => {
        for (const route of await k.routes.ours())
          if (route.kind === 'unreachable') await k.routes.remove(route);
      },
    ],
    ['the tunnel down', k => k.links.change(WG_LINK, { up: false })],
    ['the bridge down', k => k.links.change(BRIDGE, { up: false })],
    ['the tunnel’s MTU', k => k.links.change(WG_LINK, { mtu: 1280 })],
    ['the bridge’s MAC', k => k.links.change(BRIDGE, { mac: '02:00:00:00:00:01' })],
    ['the tunnel removed', k => k.links.remove(WG_LINK)],
    ['a gateway address removed', k => k.addresses.remove({ link: BRIDGE, address: '10.42.1.1/32' })],
    ['an address of another added', k => k.addresses.add({ link: BRIDGE, address: '10.42.7.7/24' })],
    ['a sysctl written', k => k.sysctls.write('ipv4/ip_forward', '0')],
    ['a peer removed', k => k.wg.set(WG_LINK, [{ kind: 'remove', publicKey: peerKey(2) }])],
    ['a peer added', k => k.wg.set(WG_LINK, [{ kind: 'peer', publicKey: key(99) }])],
    [
      'a peer’s networks taken',
      k => k.wg.set(WG_LINK, [{ kind: 'peer', publicKey: key(99), allowedIps: ['10.42.2.0/24' as Cidr] }]),
    ],
    ['the key exchanged', k => k.wg.set(WG_LINK, [{ kind: 'device', privateKey: key(8) }])],
    ['the port changed', k => k.wg.set(WG_LINK, [{ kind: 'device', listenPort: 1 }])],
    ['the table gone', k => k.nft.apply('delete table inet weft')],
    ['a rule added', k => k.nft.apply('table inet weft {\n chain egress {\n accept\n }\n}')],
  ];
  for (const [what, damage] of damages)
    test(`${what}: mended by the next pass`, async () => {
      const bed = newBed();
      await bed.pass();
      const whole = bed.kernel.print();
      await damage(bed.kernel);
      assert.notEqual(bed.kernel.print(), whole);
      bed.advance(10_000);
      const outcome = await bed.pass();
      assert.deepEqual(outcome.errors, []);
      assert.ok(outcome.changes > 0);
      assert.equal(bed.kernel.print(), whole);
      await idle(bed);
    });
});
