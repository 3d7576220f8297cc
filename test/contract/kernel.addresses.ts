import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fails, type Subject, upLink } from './kernel.helpers.ts';

export function addressCases(subject: Subject): void {
  const { kernel } = subject;
  const { addresses, links } = kernel;
  /** Link-local addresses come and go by themselves. */
  const own = async (link?: string): Promise<string[]> =>
    (await addresses.list(link))
      .filter(a => a.link !== 'lo' && !a.address.startsWith('fe80:'))
      .map(a => `${a.link} ${a.address}`)
      .sort();

  describe('addresses', () => {
    test('both families, of one link or of all', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await upLink(subject, 'd1', '10.9.1.1/24');
      assert.deepEqual(await own('d0'), ['d0 10.9.0.1/32', 'd0 fd09::1/128']);
      assert.deepEqual(await own(), ['d0 10.9.0.1/32', 'd0 fd09::1/128', 'd1 10.9.1.1/24']);
      assert.deepEqual(await own('none0'), []);
    });

    test('an address is on a link once, and may be on two', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await fails(addresses.add({ link: 'd0', address: '10.9.0.1/32' }), 'EEXIST');
      await fails(addresses.add({ link: 'd0', address: 'fd09::1/128' }), 'EEXIST');
      await upLink(subject, 'd1', '10.9.0.1/32', 'fd09::1/128');
      assert.equal((await own()).length, 4);
    });

    test('an IPv6 address can be used at once', async () => {
      await upLink(subject, 'd0', 'fd09::1/128');
      await kernel.routes.replace({
        dst: 'fd09:1::/64' as never,
        kind: 'unicast',
        link: 'd0',
        src: 'fd09::1' as never,
      });
      assert.equal((await kernel.routes.ours())[0]?.src, 'fd09::1');
    });

    test('removed', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await addresses.remove({ link: 'd0', address: '10.9.0.1/32' });
      await addresses.remove({ link: 'd0', address: 'fd09::1/128' });
      assert.deepEqual(await own(), []);
      await fails(addresses.remove({ link: 'd0', address: '10.9.0.1/32' }), 'EADDRNOTAVAIL');
      await fails(addresses.remove({ link: 'd0', address: 'fd09::1/128' }), 'EADDRNOTAVAIL');
    });

    test('no link, no address', async () => {
      await fails(addresses.add({ link: 'none0', address: '10.9.0.1/32' }), 'ENODEV');
      for (const address of ['10.9.0/32', '10.9.0.1', '10.9.0.1/33', 'fd09::1/129', 'fd09::1/x', ''])
        await fails(addresses.add({ link: 'lo', address }), 'EINVAL');
      await upLink(subject, 'd0', '10.9.0.1/32');
      await links.remove('d0');
      assert.deepEqual(await own(), []);
    });

    test('a link that goes down keeps its IPv4 addresses and loses its IPv6 ones', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await links.change('d0', { up: false });
      assert.deepEqual(await own(), ['d0 10.9.0.1/32']);
    });
  });
}
