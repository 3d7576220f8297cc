import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CandidateFacts, findCandidates } from '../../discovery/candidates.ts';
import { containsIp, parseEndpoint } from '../../ip.ts';
import type { Link } from '../../platform/linux/types.ts';
import type { Cidr, Ip } from '../../types.ts';

const link = (name: string, up = true): Link => ({
  index: 1,
  name,
  kind: 'other',
  mac: undefined,
  mtu: 1500,
  up,
  master: undefined,
  isolated: undefined,
});

const facts = (change: Partial<CandidateFacts>): CandidateFacts => ({
  node: { internal: [], external: [] },
  links: [link('eth0')],
  addresses: [],
  port: 51820,
  excluded: [],
  viaTunnel: new Set(),
  ...change,
});

const on = (name: string, ...addresses: string[]) => addresses.map(address => ({ link: name, address }));
const shown = (change: Partial<CandidateFacts>) => findCandidates(facts(change)).map(c => `${c.t} ${c.a}`);
const ips = (...texts: string[]) => texts as unknown as readonly Ip[];

test('the Node’s addresses and the interfaces’, each once, best first', () => {
  assert.deepEqual(
    shown({
      node: { internal: ips('192.168.1.7', 'fd00::7'), external: ips('203.0.113.7') },
      addresses: on('eth0', '192.168.1.7/24', '10.0.0.7/8', '2001:db8::7/64', 'fe80::1/64', 'fd00::7/64'),
    }),
    [
      'ext 203.0.113.7:51820',
      'ext [2001:db8::7]:51820',
      'host 192.168.1.7:51820',
      'host 10.0.0.7:51820',
      'host [fd00::7]:51820',
    ],
  );
});

test('loopback, link-local, multicast and unspecified addresses never', () => {
  assert.deepEqual(
    shown({
      node: { internal: ips('127.0.0.1', '::1', '0.0.0.0'), external: ips('224.0.0.1', '169.254.3.4') },
      addresses: on('eth0', '127.0.0.2/8', '169.254.1.1/16', 'fe80::2/64', '::1/128', 'ff02::1/128'),
    }),
    [],
  );
});

test('addresses of our links and of other networks on this host never', () => {
  const names = [
    'lo',
    'weft0',
    'weft-wg',
    'wv0a1b2c',
    'docker0',
    'docker_gwbridge',
    'cni0',
    'flannel.1',
    'br-0a1b2c3d4e5f',
    'veth12',
    'kube-ipvs0',
    'virbr0',
    'cilium_host',
    'nodelocaldns',
  ];
  assert.deepEqual(
    shown({
      links: [
        ...names.map(name => link(name)),
        link('eth0'),
        link('eth1', false),
        link('bridge0'),
        link('wlan0'),
      ],
      addresses: [
        ...names.flatMap((name, n) => on(name, `10.1.${n}.1/24`, `fd01:${n}::1/64`)),
        ...on('eth0', '10.2.0.1/24'),
        ...on('eth1', '10.2.1.1/24'),
        ...on('bridge0', '10.2.2.1/24'),
        ...on('wlan0', '10.2.3.1/24'),
      ],
    }),
    ['host 10.2.0.1:51820', 'host 10.2.2.1:51820', 'host 10.2.3.1:51820'],
  );
});

test('pod and service ranges, and what is reached by the tunnel, never, whoever says it', () => {
  assert.deepEqual(
    shown({
      node: { internal: ips('10.42.0.1', '10.9.0.1'), external: ips('203.0.113.9', '203.0.113.10') },
      addresses: on('eth0', '10.43.0.7/24', 'fd42::1/64', '10.9.0.2/24'),
      excluded: ['10.42.0.0/16', '10.43.0.0/16', 'fd42::/48'] as unknown as Cidr[],
      viaTunnel: new Set(ips('10.9.0.2', '203.0.113.10')),
    }),
    ['ext 203.0.113.9:51820', 'host 10.9.0.1:51820'],
  );
});

test('a bridge that the host’s owner made is an interface like others', () => {
  const links = ['br0', 'br-lan', 'br-ex', 'vmbr0'];
  assert.equal(
    shown({
      links: links.map(name => link(name)),
      addresses: links.flatMap((l, n) => on(l, `10.3.${n}.1/24`)),
    }).length,
    links.length,
  );
});

test('addresses that will soon be gone are told to nobody', () => {
  const [stable, temporary] = on('eth0', '2001:db8::7/64', '2001:db8::1/64');
  assert.ok(stable && temporary);
  assert.deepEqual(shown({ addresses: [stable, { ...temporary, fleeting: true }] }), [
    'ext [2001:db8::7]:51820',
  ]);
});

test('many addresses of one prefix do not crowd out the others', () => {
  const privacy = Array.from({ length: 30 }, (_, n) => `2001:db8::${n + 1}/64`);
  assert.deepEqual(shown({ addresses: on('eth0', ...privacy, '192.168.1.7/24') }), [
    'ext [2001:db8::1]:51820',
    'ext [2001:db8::2]:51820',
    'host 192.168.1.7:51820',
  ]);
});

test('of very many, each type and family has its share', () => {
  const many = Array.from({ length: 20 }, (_, n) => [
    `198.51.100.${n + 1}/24`,
    `10.0.${n}.1/24`,
    `2001:db8:${n}::1/64`,
    `fd00:${n}::1/64`,
  ]).flat();
  const found = shown({ addresses: on('eth0', ...many) });
  assert.equal(found.length, 10);
  const count = (pattern: RegExp) => found.filter(c => pattern.test(c)).length;
  assert.deepEqual([count(/^ext \d/), count(/^ext \[/), count(/^host \d/), count(/^host \[/)], [3, 3, 2, 2]);
});

test('any input in any order: at most ten, no duplicate, nothing excluded, the same list', () => {
  const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map(parts => parts.join('.'));
  const v6 = fc
    .tuple(fc.nat(0xffff), fc.nat(0xffff))
    .map(([a, b]) => `${(a || 1).toString(16)}:db8::${(b || 1).toString(16)}`);
  const address = fc.record({
    link: fc.constantFrom('eth0', 'eth1', 'weft0', 'gone'),
    address: fc.oneof(v4, v6).map(a => `${a}/24`),
  });
  const excluded = ['10.0.0.0/8', 'fc00::/7'] as unknown as Cidr[];
  fc.assert(
    fc.property(
      fc.array(address, { maxLength: 40 }),
      fc.array(v4, { maxLength: 5 }),
      fc.integer(),
      (list, internal, seed) => {
        const build = (addresses: typeof list) =>
          findCandidates(
            facts({
              links: [link('eth0'), link('eth1'), link('weft0')],
              addresses,
              excluded,
              node: { internal: ips(...internal), external: [] },
            }),
          );
        const found = build(list);
        const shuffled = list
          .map((a, n) => ({ a, key: Math.sin(seed + n) }))
          .sort((x, y) => x.key - y.key)
          .map(x => x.a);
        assert.deepEqual(build(shuffled), found);
        assert.ok(found.length <= 10);
        assert.equal(new Set(found.map(c => c.a)).size, found.length);
        for (const { a } of found) {
          const parsed = parseEndpoint(a);
          assert.ok(parsed.ok && !excluded.some(cidr => containsIp(cidr, parsed.value.ip)));
        }
      },
    ),
  );
});
