/** The mesh's reconciler on a kernel in memory: what it makes, leaves alone, removes and mends. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BRIDGE, WG_LINK } from '../../constants.ts';
import type { NodeFact } from '../../discovery/types.ts';
import { type MeshRoom, type Outcome, openMesh } from '../../mesh/reconcile.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { type FakeKernel, type FakeOptions, openFake } from '../../platform/linux/fake.ts';
import type { TableMemo, TableMemos } from '../../platform/linux/table.ts';
import type { Kernel, LinkSpec, Route, WgChange } from '../../platform/linux/types.ts';
import type { Cidr, Endpoint, Ip, PublicKey } from '../../types.ts';
import { golden } from '../golden.ts';
import { facts, key, node } from './facts.ts';

/** 32 bytes of 7, and their public key by `wg pubkey`. */
const OWN = {
  privateKey: key(7) as string,
  publicKey: 'E75P6uryBMf9M1j8nAByGIHRdCeBKCJ+xnTzf3/pe20=' as PublicKey,
};

/** Larger than our key, so that the first word is ours. */
const peerKey = (n: number): PublicKey => key(100 + n);
const other = (n: number): NodeFact => node(n, { publicKey: peerKey(n) });
const THREE = [node(1), other(2), other(3)];

const READS = ['nft -s list table inet weft', `wg show ${WG_LINK} dump`];

function newMemos(): TableMemos {
  const memos = new Map<string, TableMemo>();
  return { get: table => memos.get(table), set: async (table, memo) => void memos.set(table, memo) };
}

type Bed = {
  readonly kernel: FakeKernel;
  /** One reconcile, `ms` after the one before, by way of `through` where given. */
  readonly pass: (nodes?: readonly NodeFact[], sweep?: boolean, through?: Kernel) => Promise<Outcome>;
  /** The agent ends and starts again; what is on disk stays. */
  readonly restart: () => void;
  readonly advance: (ms: number) => void;
  readonly now: () => number;
};

function newBed(options: FakeOptions = {}): Bed {
  const kernel = openFake(options);
  const memos = newMemos();
  let now = 1_000_000;
  let current: Kernel = kernel;
  /** What the room speaks to can be exchanged between passes. */
  const switching = new Proxy({} as Kernel, { get: (_, verb: keyof Kernel) => current[verb] });
  const open = (): MeshRoom => openMesh({ kernel: switching, memos, now: () => now });
  let room = open();
  return {
    kernel,
    pass: (nodes = THREE, sweep = true, through = kernel) => {
      current = through;
      return room.reconcile({
        facts: facts(nodes, { self: { name: 'node1', publicKey: OWN.publicKey } }),
        key: OWN,
        publication: { before: true, at: 0 },
        sweep,
      });
    },
    restart: () => {
      room = open();
    },
    advance: ms => {
      now += ms;
    },
    now: () => now,
  };
}

/** A pass that must not change anything nor run more than the two reads. */
async function idle(bed: Bed, nodes = THREE): Promise<void> {
  const before = { counts: bed.kernel.counts(), printed: bed.kernel.print() };
  const ran = bed.kernel.spawned().length;
  const outcome = await bed.pass(nodes);
  assert.deepEqual(outcome.errors, []);
  assert.equal(outcome.changes, 0);
  assert.equal(bed.kernel.counts().changes, before.counts.changes);
  assert.deepEqual(bed.kernel.spawned().slice(ran), READS);
  assert.equal(bed.kernel.print(), before.printed);
}

describe('the first pass', () => {
  test('makes everything', async () => {
    const bed = newBed();
    const outcome = await bed.pass();
    assert.deepEqual(outcome.errors, []);
    assert.deepEqual(outcome.engine, { kind: 'kernel' });
    assert.ok(outcome.changes > 0);
    golden(join(import.meta.dirname, 'golden', 'kernel.txt'), bed.kernel.print());
  });

  test('its rules and unreachable routes come before all else', async () => {
    const bed = newBed();
    const order: string[] = [];
    const { nft, routes, links } = bed.kernel;
    /** Notes what is about to be done. */
    const noting =
      <T, R>(verb: (given: T) => R, word: (given: T) => string) =>
      (given: T): R => {
        order.push(word(given));
        return verb(given);
      };
    await bed.pass(THREE, true, {
      ...bed.kernel,
      nft: {
        ...nft,
        apply: noting(
          (text: string) => nft.apply(text),
          () => 'rules',
        ),
      },
      routes: {
        ...routes,
        replace: noting(
          (route: Route) => routes.replace(route),
          route => route.kind,
        ),
      },
      links: {
        ...links,
        add: noting(
          (spec: LinkSpec) => links.add(spec),
          spec => spec.name,
        ),
      },
    });
    assert.deepEqual(order.slice(0, 5), ['rules', 'unreachable', 'unreachable', WG_LINK, BRIDGE]);
  });
});

describe('a pass that finds everything in place', () => {
  test('changes nothing and only reads', async () => {
    const bed = newBed();
    await bed.pass();
    await idle(bed);
    bed.advance(3_600_000);
    await idle(bed);
  });

  test('also in an agent that has just started, while sessions live', async () => {
    const bed = newBed();
    await bed.pass();
    for (const n of [2, 3]) bed.kernel.handshake(WG_LINK, peerKey(n), bed.now() - 20_000);
    bed.restart();
    await idle(bed);
  });

  test('keeps an endpoint that the peer has moved to', async () => {
    const bed = newBed();
    await bed.pass();
    const roamed = '203.0.113.9:4242' as Endpoint;
    bed.kernel.handshake(WG_LINK, peerKey(2), bed.now(), roamed);
    bed.kernel.handshake(WG_LINK, peerKey(3), bed.now());
    bed.advance(60_000);
    await idle(bed);
    assert.match(bed.kernel.print(), /endpoint 203\.0\.113\.9:4242/);
  });

  test('leaves pods’ routes and other people’s alone', async () => {
    const bed = newBed();
    const { kernel } = bed;
    await bed.pass();
    for (const link of ['wvpod', 'eth0']) {
      kernel.plug(link, 'veth');
      await kernel.links.change(link, { up: true });
    }
    const pod: Route = {
      dst: '10.42.1.9/32' as Cidr,
      kind: 'unicast',
      link: 'wvpod',
      src: '10.42.1.1' as Ip,
    };
    await kernel.routes.replace(pod);
    kernel.foreignRoute({ dst: '0.0.0.0/0' as Cidr, kind: 'unicast', link: 'eth0' });
    // accept_ra of links that came since.
    await bed.pass();
    const printed = kernel.print();
    await idle(bed);
    assert.match(printed, /10\.42\.1\.9\/32 dev wvpod/);
    assert.match(printed, /0\.0\.0\.0\/0 dev eth0/);
  });
});

describe('a wireguard-go that is there', () => {
  const adopted = (): Bed => {
    const bed = newBed({ wireguard: false });
    bed.kernel.plug(WG_LINK, 'tun');
    return bed;
  };

  test('is adopted, and then asked once a pass', async () => {
    const bed = adopted();
    const outcome = await bed.pass();
    assert.deepEqual([outcome.engine, outcome.errors], [{ kind: 'wireguard-go' }, []]);
    await idle(bed);
    await idle(bed);
  });

  test('that no longer answers is said at the next pass', async () => {
    const bed = adopted();
    await bed.pass();
    bed.kernel.silence(WG_LINK);
    assert.equal((await bed.pass()).device, undefined);
    const outcome = await bed.pass();
    assert.equal(outcome.engine.kind, 'none');
    assert.match(outcome.errors.find(e => e.step === 'wireguard')?.message ?? '', /no WireGuard answers/);
  });

  test('that was started anew is asked again, and gets its peers', async () => {
    const bed = adopted();
    await bed.pass();
    const whole = bed.kernel.print();
    await bed.kernel.links.remove(WG_LINK);
    bed.kernel.plug(WG_LINK, 'tun');
    bed.advance(10_000);
    assert.deepEqual((await bed.pass()).errors, []);
    assert.equal(bed.kernel.print(), whole);
    await idle(bed);
  });
});

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
