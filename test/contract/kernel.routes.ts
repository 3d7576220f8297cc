import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROUTE_PROTOCOL, UNREACHABLE_METRIC } from '../../constants.ts';
import type { Route } from '../../platform/linux/types.ts';
import { cidr, fails, ip, type Subject, until, upLink } from './kernel.helpers.ts';

export function routeCases(subject: Subject): void {
  const { kernel } = subject;
  const { routes, links } = kernel;
  const ours = async (): Promise<Route[]> =>
    [...(await routes.ours())].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  const floor = (dst: string): Route => ({ dst: cidr(dst), kind: 'unreachable', metric: UNREACHABLE_METRIC });

  describe('routes', () => {
    test('come back as they were given, both families', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      const given: Route[] = [
        { dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0', src: ip('10.9.0.1'), mtu: 1340 },
        { dst: cidr('10.9.0.7/32'), kind: 'unicast', link: 'd0' },
        {
          dst: cidr('10.9.9.0/24'),
          kind: 'unicast',
          link: 'd0',
          via: ip('192.0.2.1'),
          onlink: true,
          metric: 50,
        },
        {
          dst: cidr('fd09:1::/64'),
          kind: 'unicast',
          link: 'd0',
          src: ip('fd09::1'),
          mtu: 1340,
          metric: 1024,
        },
        {
          dst: cidr('fd09:9::/64'),
          kind: 'unicast',
          link: 'd0',
          via: ip('fe80::7'),
          onlink: true,
          metric: 50,
        },
        floor('10.9.0.0/16'),
        floor('fd09::/16'),
      ];
      for (const route of given) await routes.replace(route);
      assert.deepEqual(
        await ours(),
        [...given].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
      );
      for (const route of given) await routes.remove(route);
      assert.deepEqual(await ours(), []);
    });

    test('a second one with the same destination and metric replaces the first', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await upLink(subject, 'd1');
      for (const dst of ['10.9.1.0/24', 'fd09:1::/64'].map(cidr)) {
        await routes.replace({ dst, kind: 'unicast', link: 'd0', mtu: 1300, metric: 7 });
        await routes.replace({ dst, kind: 'unicast', link: 'd1', mtu: 1400, metric: 7 });
        assert.deepEqual(await ours(), [{ dst, kind: 'unicast', link: 'd1', mtu: 1400, metric: 7 }]);
        await routes.replace({ dst, kind: 'unicast', link: 'd1', metric: 8 });
        assert.equal((await ours()).length, 2);
        for (const route of await ours()) await routes.remove(route);
      }
    });

    test('a metric that is not given is 0 for IPv4 and 1024 for IPv6', async () => {
      await upLink(subject, 'd0');
      await routes.replace({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0' });
      await routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0' });
      assert.deepEqual(new Set((await ours()).map(r => r.metric)), new Set([undefined, 1024]));
    });

    test('what is an own address is looked up on lo', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      // IPv6: by a worker of the kernel, a moment after the address is there.
      for (const own of ['10.9.0.1', 'fd09::1'].map(ip)) {
        await until('its local route', async () => (await routes.lookup(own))?.link === 'lo');
        assert.deepEqual(await routes.lookup(own), { link: 'lo', src: own });
      }
    });

    test('an address with a longer network makes its neighbours reachable', async () => {
      await upLink(subject, 'd0', '10.9.0.1/24', 'fd09::1/64');
      assert.deepEqual(await routes.lookup(ip('10.9.0.7')), { link: 'd0', src: '10.9.0.1' });
      assert.deepEqual(await routes.lookup(ip('fd09::7')), { link: 'd0', src: 'fd09::1' });
      assert.deepEqual(await ours(), []);
    });

    test('one that is not there cannot be removed', async () => {
      await upLink(subject, 'd0');
      await fails(routes.remove({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0' }), 'ESRCH');
      await fails(routes.remove({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0' }), 'ESRCH');
      await fails(routes.remove(floor('10.9.0.0/16')), 'ESRCH');
    });

    test('a route needs a link that is there and up', async () => {
      await subject.addVeth('d0');
      for (const dst of ['10.9.1.0/24', 'fd09:1::/64'].map(cidr)) {
        await fails(routes.replace({ dst, kind: 'unicast', link: 'none0' }), 'ENODEV');
        await fails(routes.replace({ dst, kind: 'unicast', link: 'd0' }), 'ENETDOWN');
      }
    });

    test('and a source that is an own address, and a gateway that can be reached', async () => {
      await upLink(subject, 'd0', '10.9.0.1/24', 'fd09::1/64');
      await fails(
        routes.replace({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0', src: ip('10.9.0.2') }),
        'EINVAL',
      );
      await fails(
        routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0', src: ip('fd09::2') }),
        'EINVAL',
      );
      await fails(
        routes.replace({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0', via: ip('192.0.2.1') }),
        'ENETUNREACH',
      );
      await fails(
        routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0', via: ip('2001:db8::1') }),
        'EHOSTUNREACH',
      );
      await routes.replace({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0', via: ip('10.9.0.7') });
      await routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0', via: ip('fd09::7') });
      assert.equal((await ours()).length, 2);
    });

    test('go with their link, and while it is down', async () => {
      await upLink(subject, 'd0');
      await upLink(subject, 'd1');
      for (const dst of ['10.9.1.0/24', 'fd09:1::/64'].map(cidr))
        await routes.replace({ dst, kind: 'unicast', link: 'd0' });
      for (const dst of ['10.9.2.0/24', 'fd09:2::/64'].map(cidr))
        await routes.replace({ dst, kind: 'unicast', link: 'd1' });
      await routes.replace(floor('10.9.0.0/16'));
      await routes.replace(floor('fd09::/16'));
      await links.change('d0', { up: false });
      await links.remove('d1');
      assert.deepEqual(
        (await ours()).map(r => r.dst),
        ['10.9.0.0/16', 'fd09::/16'],
      );
    });

    test('an IPv4 route goes with its source address, an IPv6 route only forgets it', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await routes.replace({ dst: cidr('10.9.1.0/24'), kind: 'unicast', link: 'd0', src: ip('10.9.0.1') });
      await routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0', src: ip('fd09::1') });
      await kernel.addresses.remove({ link: 'd0', address: '10.9.0.1/32' });
      await kernel.addresses.remove({ link: 'd0', address: 'fd09::1/128' });
      assert.deepEqual(await ours(), [{ dst: 'fd09:1::/64', kind: 'unicast', link: 'd0', metric: 1024 }]);
    });

    test('looking up takes the narrowest, then the lowest metric; unreachable is no link', async () => {
      await upLink(subject, 'd0', '10.9.0.1/32', 'fd09::1/128');
      await upLink(subject, 'd1');
      for (const [wide, narrow, own] of [
        ['10.9.0.0/16', '10.9.1.0/24', '10.9.0.1'],
        ['fd09::/32', 'fd09:0:0:1::/64', 'fd09::1'],
      ] as const) {
        await routes.replace(floor(wide));
        await routes.replace({ dst: cidr(narrow), kind: 'unicast', link: 'd0', src: ip(own), metric: 10 });
        await routes.replace({ dst: cidr(narrow), kind: 'unicast', link: 'd1', src: ip(own), metric: 20 });
      }
      assert.deepEqual(await routes.lookup(ip('10.9.1.7')), { link: 'd0', src: '10.9.0.1' });
      assert.deepEqual(await routes.lookup(ip('fd09:0:0:1::7')), { link: 'd0', src: 'fd09::1' });
      assert.equal(await routes.lookup(ip('10.9.2.7')), undefined);
      assert.equal(await routes.lookup(ip('fd09:0:0:2::7')), undefined);
      assert.equal(await routes.lookup(ip('192.0.2.1')), undefined);
      assert.equal(await routes.lookup(ip('2001:db8::1')), undefined);
    });

    test('a route’s MTU is found with it', async () => {
      await upLink(subject, 'd0', '10.9.0.1/24');
      await routes.replace({ dst: cidr('10.9.3.0/24'), kind: 'unicast', link: 'd0', mtu: 1300 });
      assert.deepEqual(await routes.lookup(ip('10.9.3.7')), { link: 'd0', src: '10.9.0.1', mtu: 1300 });
    });

    test('default routes are listed with whose they are', async () => {
      await upLink(subject, 'd0', '10.9.0.1/24');
      await routes.replace({ dst: cidr('0.0.0.0/0'), kind: 'unicast', link: 'd0', via: ip('10.9.0.2') });
      await routes.replace({ dst: cidr('::/0'), kind: 'unicast', link: 'd0', metric: 9 });
      assert.deepEqual(
        [...(await routes.defaults())].sort((a, b) => (a.dst < b.dst ? -1 : 1)),
        [
          { dst: '0.0.0.0/0', kind: 'unicast', link: 'd0', via: '10.9.0.2', protocol: ROUTE_PROTOCOL },
          { dst: '::/0', kind: 'unicast', link: 'd0', metric: 9, protocol: ROUTE_PROTOCOL },
        ],
      );
      assert.equal((await routes.lookup(ip('192.0.2.1')))?.link, 'd0');
    });
  });
}
