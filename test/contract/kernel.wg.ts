import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { ensureWireguard } from '../../platform/linux/engine.ts';
import type { WgDevice } from '../../platform/linux/types.ts';
import type { Endpoint, PublicKey } from '../../types.ts';
import { cidr, fails, linkOf, type Subject, upLink } from './kernel.helpers.ts';

const LINK = 'wgc0';

/** A WireGuard key pair, by way of JSON Web Keys. */
function pair(): { readonly privateKey: string; readonly publicKey: PublicKey } {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (part: string | undefined): string =>
    Buffer.from(part ?? '', 'base64url').toString('base64');
  return { privateKey: base64(d), publicKey: base64(x) as PublicKey };
}

export function wgCases(subject: Subject): void {
  const { kernel } = subject;
  const { wg } = kernel;
  const own = pair();
  const [a, b] = [pair().publicKey, pair().publicKey];
  const dump = async (): Promise<WgDevice> => {
    const device = await wg.dump(LINK);
    assert.ok(device, 'no engine answers');
    return device;
  };
  const peer = async (key: PublicKey) => (await dump()).peers.find(p => p.publicKey === key);

  describe('wireguard', () => {
    before(() => assert.notEqual(a, b));

    const withDevice = async (): Promise<void> => {
      const engine = await ensureWireguard(kernel, LINK, { mtu: 1400 });
      assert.notEqual(engine.kind, 'none', engine.kind === 'none' ? engine.reason : '');
    };

    test('there is no device where there is no link, or a link of another kind', async () => {
      assert.equal(wg.answered('none0'), false);
      assert.equal(await wg.dump('none0'), undefined);
      assert.equal(wg.answered('none0'), false);
      await upLink(subject, 'd0');
      assert.equal(await wg.dump('d0'), undefined);
      await fails(
        wg.set('none0', [{ kind: 'device', listenPort: 51999 }]),
        'ENODEV',
        'EPROTONOSUPPORT',
        'EOPNOTSUPP',
      );
    });

    test('a new device has neither key nor peers, and is found again', async () => {
      await withDevice();
      assert.deepEqual([(await dump()).publicKey, (await dump()).peers], [undefined, []]);
      assert.equal(wg.answered(LINK), true);
      const spawns = () => kernel.counts().spawns;
      await withDevice();
      const before = spawns();
      await withDevice();
      assert.equal(spawns(), before, 'a device that has answered is not asked again');
      assert.deepEqual(['wireguard', 'tun'].includes((await linkOf(kernel, LINK)).kind), true);
    });

    test('key and port; the private key never comes back', async () => {
      await withDevice();
      await wg.set(LINK, [{ kind: 'device', privateKey: own.privateKey, listenPort: 51999 }]);
      const device = await dump();
      assert.equal(device.publicKey, own.publicKey);
      assert.equal(device.listenPort, 51999);
      assert.equal(JSON.stringify(device).includes(own.privateKey), false);
      await wg.set(LINK, [{ kind: 'device', listenPort: 51998 }]);
      assert.deepEqual([(await dump()).publicKey, (await dump()).listenPort], [own.publicKey, 51998]);
    });

    test('all changes in one call; only what is given is touched', async () => {
      await withDevice();
      const before = kernel.counts();
      await wg.set(LINK, [
        {
          kind: 'peer',
          publicKey: a,
          endpoint: '192.0.2.1:51820' as Endpoint,
          allowedIps: [cidr('10.9.1.0/24')],
          keepalive: 25,
        },
        {
          kind: 'peer',
          publicKey: b,
          endpoint: '[2001:db8::2]:51820' as Endpoint,
          allowedIps: [cidr('10.9.2.0/24'), cidr('fd09:2::/64')],
        },
        { kind: 'device', privateKey: own.privateKey },
      ]);
      assert.ok(kernel.counts().spawns - before.spawns <= 1);
      assert.equal(kernel.counts().changes - before.changes, 1);
      const none = { latestHandshake: 0, rxBytes: 0 };
      const seen = async (key: PublicKey) => {
        const { txBytes, allowedIps, ...rest } = (await peer(key)) ?? assert.fail(`no peer ${key}`);
        assert.ok(txBytes >= 0);
        return { ...rest, allowedIps: [...allowedIps].sort() };
      };
      assert.deepEqual(await seen(a), {
        ...none,
        publicKey: a,
        endpoint: '192.0.2.1:51820',
        allowedIps: ['10.9.1.0/24'],
        keepalive: 25,
      });
      assert.deepEqual(await seen(b), {
        ...none,
        publicKey: b,
        endpoint: '[2001:db8::2]:51820',
        allowedIps: ['10.9.2.0/24', 'fd09:2::/64'],
        keepalive: 0,
      });
      await wg.set(LINK, [{ kind: 'peer', publicKey: a, endpoint: '192.0.2.9:1' as Endpoint }]);
      assert.deepEqual(await seen(a), {
        ...none,
        publicKey: a,
        endpoint: '192.0.2.9:1',
        allowedIps: ['10.9.1.0/24'],
        keepalive: 25,
      });
      await wg.set(LINK, [{ kind: 'peer', publicKey: a, keepalive: 0, allowedIps: [] }]);
      assert.deepEqual(await seen(a), {
        ...none,
        publicKey: a,
        endpoint: '192.0.2.9:1',
        allowedIps: [],
        keepalive: 0,
      });
      assert.equal((await dump()).peers.length, 2);
    });

    test('networks of all peers, as a dump has them', async () => {
      assert.equal(await wg.allowed('none0'), undefined);
      await withDevice();
      await wg.set(LINK, [
        { kind: 'peer', publicKey: a, allowedIps: [cidr('10.9.1.0/24'), cidr('fd09:1::/64')] },
        { kind: 'peer', publicKey: b },
      ]);
      const allowed = new Map(
        [...((await wg.allowed(LINK)) ?? [])].map(([key, cidrs]) => [key, [...cidrs].sort()]),
      );
      assert.deepEqual(
        allowed,
        new Map([
          [a, ['10.9.1.0/24', 'fd09:1::/64']],
          [b, []],
        ]),
      );
    });

    test('an allowed network moves to the peer that is given it last', async () => {
      await withDevice();
      await wg.set(LINK, [{ kind: 'peer', publicKey: a, allowedIps: [cidr('10.9.1.0/24')] }]);
      await wg.set(LINK, [{ kind: 'peer', publicKey: b, allowedIps: [cidr('10.9.1.0/24')] }]);
      assert.deepEqual([(await peer(a))?.allowedIps, (await peer(b))?.allowedIps], [[], ['10.9.1.0/24']]);
    });

    test('a peer removed is gone; removing it again changes nothing', async () => {
      await withDevice();
      await wg.set(LINK, [
        { kind: 'peer', publicKey: a },
        { kind: 'peer', publicKey: b },
      ]);
      await wg.set(LINK, [{ kind: 'remove', publicKey: a }]);
      await wg.set(LINK, [{ kind: 'remove', publicKey: a }]);
      assert.deepEqual(
        (await dump()).peers.map(p => p.publicKey),
        [b],
      );
    });

    test('a key that is none is refused, and nothing of the call is done', async () => {
      await withDevice();
      await fails(
        wg.set(LINK, [
          { kind: 'peer', publicKey: a },
          { kind: 'peer', publicKey: 'AAAA' as PublicKey },
        ]),
        'EFAILED',
      );
      assert.deepEqual((await dump()).peers, []);
    });
  });
}
