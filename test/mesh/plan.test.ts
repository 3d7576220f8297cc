import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { meshTable } from '../../mesh/nft.ts';
import { plan } from '../../mesh/plan.ts';
import { meshRoutes } from '../../mesh/routes.ts';
import { wgText } from '../../mesh/wgpeers.ts';
import type { Cidr, Endpoint, Ip, PublicKey } from '../../types.ts';
import { golden } from '../golden.ts';
import { facts, key, node, settings } from './facts.ts';

const three = [node(1), node(2), node(3)];
const reasonOf = (p: ReturnType<typeof plan>, name: string) => p.excluded.find(e => e.node === name)?.reason;
const names = (p: ReturnType<typeof plan>) => p.peers.map(peer => peer.node);

const file = (name: string) => `${import.meta.dirname}/golden/${name}`;

test('three nodes: the whole plan as wg, nft and routes', () => {
  const p = plan(facts(three));
  golden(file('three.wg'), wgText(p));
  golden(file('three.nft'), meshTable(p));
  golden(file('three.routes.json'), `${JSON.stringify(meshRoutes(p), undefined, 2)}\n`);
});

test('one IPv4 node without masquerade, with links and networks of its own kind', () => {
  const only = [node(1, { podCidrs: ['10.42.1.0/24' as Cidr] })];
  const own = settings({
    masquerade: false,
    unmasked: ['10.9.0.0/16' as Cidr],
    directLinks: ['eth1'],
    clusterCidrs: [],
  });
  golden(file('single.nft'), meshTable(plan(facts(only, { settings: own }))));
});

test('towards other nodes pods have the node’s address, on an unmasked LAN too and wherever the nodes are dialled', () => {
  const forced = node(2, { forceEndpoint: { host: 'edge.example', port: 4000 } });
  const like = node(3, {
    endpoints: [
      ...node(1).endpoints,
      { t: 'host', a: '[2001:db8::3]:51820' as Endpoint },
      { t: 'ext', a: '203.0.113.3:51820' as Endpoint },
    ],
  });
  const resolved = new Map([['edge.example', ['192.0.2.99' as Ip]]]);
  const given = (unmasked: readonly string[]) =>
    plan(facts([node(1), forced, like], { resolved, settings: settings({ unmasked: unmasked as Cidr[] }) }));
  const p = given(['192.0.2.0/24', '2001:db8::/64']);
  assert.deepEqual(p.unmaskedNodes, ['192.0.2.1', '192.0.2.2', '192.0.2.99', '2001:db8::3']);
  const leaving = 'oifname != { "lo", "weft-wg", "weft0" }';
  const rules = meshTable(p)
    .split('\n')
    .map(line => line.trim());
  for (const rule of [
    `${leaving} ip saddr { 10.42.1.0/24 } ip daddr { 192.0.2.1, 192.0.2.2, 192.0.2.99 } masquerade`,
    `${leaving} ip6 saddr { fd42:0:0:1::/64 } ip6 daddr { 2001:db8::3 } masquerade`,
  ])
    assert.ok(rules.includes(rule), rule);
  assert.deepEqual(given([]).unmaskedNodes, []);
  assert.doesNotMatch(meshTable(given([])), /ip6? daddr \{/);
});

test('every order of the same Nodes gives the same plan', () => {
  const nodes = [node(1), node(2), node(3, { podCidrs: [] }), node(4, { publicKey: key(2) }), node(5)];
  const wanted = plan(facts(nodes));
  fc.assert(
    fc.property(fc.shuffledSubarray(nodes, { minLength: nodes.length }), shuffled => {
      assert.deepEqual(plan(facts(shuffled)), wanted);
    }),
  );
});

test('a Node without podCIDR or key is left out, with the reason, and the others stay', () => {
  const p = plan(facts([node(1), node(2, { podCidrs: [] }), node(3, { publicKey: undefined }), node(4)]));
  assert.deepEqual(names(p), ['node4']);
  assert.match(reasonOf(p, 'node2') ?? '', /spec\.podCIDRs/);
  assert.match(reasonOf(p, 'node3') ?? '', /weft\.network\/public-key/);
});

test('of two Nodes with one key the older stays', () => {
  const p = plan(facts([node(1), node(3, { publicKey: key(2) }), node(2)]));
  assert.deepEqual(names(p), ['node2']);
  assert.match(reasonOf(p, 'node3') ?? '', /key of the older Node node2/);
});

test('a Node that shows our own key is left out, not we', () => {
  const p = plan(facts([node(1), node(2, { publicKey: key(1) })]));
  assert.deepEqual(names(p), []);
  assert.match(reasonOf(p, 'node2') ?? '', /older Node node1/);
  assert.equal(p.self.podCidrs.length, 2);
});

test('of two Nodes with overlapping podCIDRs the older stays, and nothing of the newcomer is used', () => {
  const p = plan(
    facts([node(1), node(2), node(3, { podCidrs: ['10.42.2.128/25' as Cidr, 'fd42:0:0:3::/64' as Cidr] })]),
  );
  assert.deepEqual(names(p), ['node2']);
  assert.match(reasonOf(p, 'node3') ?? '', /10\.42\.2\.128\/25.*overlaps 10\.42\.2\.0\/24.*node2/);
});

test('a newcomer that is refused blocks nobody who comes later', () => {
  const refused = node(3, { publicKey: key(2), podCidrs: ['10.42.9.0/24' as Cidr] });
  const p = plan(facts([node(1), node(2), refused, node(9)]));
  assert.deepEqual(names(p), ['node2', 'node9']);
});

test('we ourselves are refused where an older Node holds our podCIDR', () => {
  const p = plan(facts([node(0, { name: 'older', podCidrs: ['10.42.1.0/24' as Cidr] }), node(1)]));
  assert.deepEqual(p.self.podCidrs, []);
  assert.match(reasonOf(p, 'node1') ?? '', /overlaps/);
});

test('cluster CIDRs come from the Nodes where they are not set', () => {
  const p = plan(facts([node(0), node(1)], { settings: settings({ clusterCidrs: [] }) }));
  assert.deepEqual(p.clusterCidrs, ['10.42.0.0/23', 'fd42::/63']);
});

test('a podCIDR outside the setting is a warning with its cure', () => {
  const p = plan(facts([node(1), node(2, { podCidrs: ['10.99.0.0/24' as Cidr] })]));
  assert.deepEqual(names(p), ['node2']);
  assert.match(
    p.warnings.map(w => w.message).join(),
    /10\.99\.0\.0\/24 is outside clusterCidrs.*clusterCidrs/,
  );
});

test('force-endpoint replaces all candidates, and an unresolved name stops only its own peer', () => {
  const forced = node(2, { forceEndpoint: { host: 'edge.example', port: 4000 } });
  const lost = node(3, { forceEndpoint: { host: 'gone.example', port: 4000 } });
  const p = plan(
    facts([node(1), forced, lost], { resolved: new Map([['edge.example', ['203.0.113.9' as Ip]]]) }),
  );
  assert.deepEqual(
    p.peers.map(peer => peer.endpoints),
    [['203.0.113.9:4000'], []],
  );
});

test('endpoints within the pod networks are never tried', () => {
  const inside = node(2, {
    endpoints: [
      { t: 'host', a: '10.42.2.1:51820' as Endpoint },
      { t: 'host', a: '[fd42:0:0:2::1]:51820' as Endpoint },
      { t: 'host', a: '192.0.2.2:51820' as Endpoint },
    ],
  });
  assert.deepEqual(plan(facts([node(1), inside])).peers[0]?.endpoints, ['192.0.2.2:51820']);
});

test('a private address that is our own too is somebody else’s and never tried', () => {
  const at = (host: string) => [
    { t: 'host' as const, a: host as Endpoint },
    { t: 'ext' as const, a: '203.0.113.2:51820' as Endpoint },
  ];
  const own = at('10.0.0.1:51820').slice(0, 1);
  const tried = (host: string) =>
    plan(facts([node(1, { endpoints: own }), node(2, { endpoints: at(host) })])).peers[0]?.endpoints;
  assert.deepEqual(tried('10.0.0.1:51820'), ['203.0.113.2:51820']);
  assert.deepEqual(tried('10.0.0.2:51820'), ['203.0.113.2:51820', '10.0.0.2:51820']);
});

test('nodes of one location try private addresses first, others public ones', () => {
  const both = [
    { t: 'host' as const, a: '192.168.1.2:51820' as Endpoint },
    { t: 'ext' as const, a: '203.0.113.2:51820' as Endpoint },
  ];
  const at = (location: string) =>
    plan(facts([node(1, { location: 'home' }), node(2, { location, endpoints: both })])).peers[0]?.endpoints;
  assert.deepEqual(at('home'), ['192.168.1.2:51820', '203.0.113.2:51820']);
  assert.deepEqual(at('away'), ['203.0.113.2:51820', '192.168.1.2:51820']);
});

test('each of the 1,000 Nodes is a peer, and no two hold one address', () => {
  const nodes = Array.from({ length: 1000 }, (_, i) =>
    node(i, {
      name: `n${i}`,
      uid: `u${String(i).padStart(4, '0')}`,
      publicKey: Buffer.alloc(32, `k${i}`).toString('base64') as ReturnType<typeof key>,
      podCidrs: [
        `10.${64 + (i >> 8)}.${i & 255}.0/24` as Cidr,
        `fd42:0:${(i + 1).toString(16)}::/64` as Cidr,
      ],
    }),
  );
  const wide = settings({ clusterCidrs: ['10.64.0.0/14' as Cidr, 'fd42::/32' as Cidr] });
  const p = plan(
    facts(nodes, {
      self: { name: 'n0', publicKey: nodes[0]?.publicKey as ReturnType<typeof key> },
      settings: wide,
    }),
  );
  assert.equal(p.peers.length, 999);
  const all = p.peers.flatMap(peer => peer.allowedIps);
  assert.equal(new Set(all).size, all.length);
});

test('where one Node changes, the plans of the others are the same objects; where something about all changes, none is', () => {
  const nodes = [1, 2, 3, 4].map(n => node(n));
  const resolved = new Map();
  const before = plan(facts(nodes, { resolved }));
  const moved = node(3, { endpoints: [{ t: 'ext', a: '203.0.113.99:51820' as Endpoint }] });
  const after = plan(
    facts(
      nodes.map(one => (one.name === 'node3' ? moved : one)),
      { resolved },
    ),
  );
  assert.deepEqual(
    after.peers.map(peer => [peer.node, before.peers.includes(peer)]),
    [
      ['node2', true],
      ['node3', false],
      ['node4', true],
    ],
  );
  assert.deepEqual(after.peers[1]?.endpoints, ['203.0.113.99:51820']);
  const other = settings({ keepalive: 7 });
  assert.deepEqual(
    plan(facts(nodes, { resolved, settings: other })).peers.map(peer => peer.keepalive),
    [7, 7, 7],
  );
  const limits = new Map([
    [before.peers[0]?.publicKey as PublicKey, { mtu: 1300, why: 'underlay' as const }],
  ]);
  assert.deepEqual(
    plan(facts(nodes, { resolved, limits })).peers.map(peer => peer.limit?.mtu),
    [1300, undefined, undefined],
  );
});
