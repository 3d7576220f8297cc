/** The mesh's reconciler on a kernel in memory: what it makes and leaves alone. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BRIDGE, WG_LINK } from '../../constants.ts';
import type { LinkSpec, Route } from '../../platform/linux/types.ts';
import type { Cidr, Endpoint, Ip } from '../../types.ts';
import { golden } from '../golden.ts';
import { node } from './facts.ts';
import { type Bed, idle, newBed, peerKey, THREE } from './reconciled.ts';

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
  const READ = 'nft -s list table inet weft';

  test('reads the table only after news of it, where its text is another, or after half a minute', async () => {
    const bed = newBed();
    let news = 0;
    const reads = async (nodes = THREE): Promise<number> => {
      const ran = bed.kernel.spawned().length;
      await bed.pass(nodes, true, bed.kernel, { rulesNews: news });
      return bed.kernel
        .spawned()
        .slice(ran)
        .filter(program => program === READ).length;
    };
    assert.ok((await reads()) > 0, 'what an earlier agent left is not known');
    assert.equal(await reads(), 0);
    bed.advance(29_000);
    assert.equal(await reads(), 0);
    bed.advance(1_000);
    assert.equal(await reads(), 1);
    news += 1;
    assert.equal(await reads(), 1);
    assert.equal(await reads(), 0);
    // What a pass that broke off had been told is not lost.
    news += 1;
    const broken = { ...bed.kernel.nft, list: () => Promise.reject(new Error('EIO')) };
    await bed.pass(THREE, true, { ...bed.kernel, nft: broken }, { rulesNews: news });
    assert.equal(await reads(), 1);
    assert.ok((await reads([node(1, { podCidrs: ['10.42.9.0/24' as Cidr] }), ...THREE.slice(1)])) > 0);
    await bed.kernel.nft.apply('delete table inet weft\n');
    await bed.pass();
    assert.ok((await bed.kernel.nft.list('inet', 'weft')) !== undefined);
  });

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
