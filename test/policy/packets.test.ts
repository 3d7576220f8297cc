/** The points of the specification from the 11th on, about ports, packets and lives of pods, one test each; every line is asked of naive, evaluate, table and permits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { permits } from '../../policy/permits.ts';
import { renderTable } from '../../policy/render.ts';
import type { Cluster, Packet } from '../../policy/types.ts';
import type { Ip } from '../../types.ts';
import type { RawPort } from './naive.ts';
import { A, app, B, holds, OUTSIDE, PODS, podOf, policyOf, toA, worldWith } from './small.ts';
import { toCluster } from './world.ts';

const WEB: RawPort = { port: 'web' };
const serving = (name: string, host: number, containerPort: number, protocol?: string) =>
  podOf(`y/${name}`, host, {
    node: 1,
    ports: [{ name: 'web', containerPort, ...(protocol && { protocol }) }],
  });

test('11: ports: TCP by default, all of a protocol, by number, by range, by name at each destination', () => {
  const on = (...ports: RawPort[]) => worldWith(PODS, [toA({ ingress: [{ ports }] })]);
  holds(on({ port: 80 }), [
    ['x/b', 'x/a', 'TCP 80', true],
    ['x/b', 'x/a', 'UDP 80', false],
  ]);
  holds(on({ protocol: 'UDP' }), [
    ['x/b', 'x/a', 'UDP 1', true],
    ['x/b', 'x/a', 'UDP 65535', true],
    ['x/b', 'x/a', 'TCP 1', false],
  ]);
  for (const from of [undefined, [{ podSelector: app('b') }], [{ ipBlock: { cidr: '10.42.1.0/24' } }]])
    holds(
      worldWith(PODS, [
        toA({
          ingress: [
            {
              ...(from && { from }),
              ports: [
                { port: 8000, endPort: 8010 },
                { port: 8010, endPort: 8020 },
              ],
            },
          ],
        }),
      ]),
      [
        ['x/b', 'x/a', 'TCP 7999', false],
        ['x/b', 'x/a', 'TCP 8000', true],
        ['x/b', 'x/a', 'TCP 8010', true],
        ['x/b', 'x/a', 'TCP 8020', true],
        ['x/b', 'x/a', 'TCP 8021', false],
        ['x/b', 'x/a', 'UDP 8000', false],
      ],
    );
  const servers = [
    A,
    serving('s1', 20, 8080),
    serving('s2', 21, 9090),
    serving('s3', 22, 80, 'UDP'),
    podOf('y/s4', 23),
  ];
  holds(worldWith(servers, [toA({ policyTypes: ['Egress'], egress: [{ ports: [WEB] }] })]), [
    ['x/a', 'y/s1', 'TCP 8080', true],
    ['x/a', 'y/s1', 'TCP 9090', false],
    ['x/a', 'y/s2', 'TCP 9090', true],
    ['x/a', 'y/s3', 'UDP 80', false],
    ['x/a', 'y/s3', 'TCP 80', false],
    ['x/a', 'y/s4', 'TCP 8080', false],
    ['x/a', OUTSIDE, 'TCP 8080', false],
  ]);
  const named = { to: [{ ipBlock: { cidr: '10.42.1.20/32' } }], ports: [WEB] };
  holds(worldWith(servers, [toA({ policyTypes: ['Egress'], egress: [named] })]), [
    ['x/a', 'y/s1', 'TCP 8080', true],
    ['x/a', 'y/s2', 'TCP 9090', false],
  ]);
  holds(worldWith(servers, [policyOf('y/p', { ingress: [{ ports: [WEB] }] })]), [
    ['x/a', 'y/s1', 'TCP 8080', true],
    ['x/a', 'y/s2', 'TCP 8080', false],
    ['x/a', 'y/s2', 'TCP 9090', true],
    ['x/a', 'y/s4', 'TCP 80', false],
  ]);
});

test('12: a policy of SCTP or UDP alone isolates TCP too, and SCTP is a protocol of its own', () => {
  for (const protocol of ['SCTP', 'UDP'] as const)
    holds(worldWith(PODS, [toA({ ingress: [{ ports: [{ protocol, port: 80 }] }] })]), [
      ['x/b', 'x/a', `${protocol} 80`, true],
      ['x/b', 'x/a', 'TCP 80', false],
      ['x/b', 'x/a', protocol === 'UDP' ? 'SCTP 80' : 'UDP 80', false],
    ]);
});

test('13: the own node always reaches its pods; another one only where a network covers its address', () => {
  const closed = worldWith(PODS, [policyOf('x/p', { policyTypes: ['Ingress', 'Egress'] })]);
  holds(closed, [
    ['10.42.0.1', 'x/a', 'TCP 80', true],
    ['192.0.2.1', 'x/a', 'TCP 80', true],
    ['x/a', '192.0.2.1', 'TCP 10250', true],
    ['10.42.1.1', 'x/a', 'TCP 80', false],
    ['x/a', '192.0.2.2', 'TCP 10250', false],
  ]);
  const webhook = toA({
    ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.2/32' } }], ports: [{ port: 443 }] }],
  });
  holds(worldWith(PODS, [webhook]), [
    // What the node sends through the tunnel carries its gateway address.
    ['10.42.1.1', 'x/a', 'TCP 443', true],
    ['192.0.2.2', 'x/a', 'TCP 443', true],
    ['10.42.1.1', 'x/a', 'TCP 80', false],
    ['x/b', 'x/a', 'TCP 443', false],
  ]);
  const excepted = toA({
    ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.2/32'] } }] }],
  });
  holds(worldWith(PODS, [excepted]), [['10.42.1.1', 'x/a', 'TCP 443', false]]);
});

const rulesOf = (cluster: Cluster) => newCompiler()(cluster);
const CLOSED = toCluster(worldWith(PODS, [policyOf('x/p', { policyTypes: ['Ingress', 'Egress'] })]), 'n0');

test('14: replies and related errors pass before any policy is asked', () => {
  const chain = /chain forward \{\n(.*?)\n {2}\}/s.exec(renderTable(rulesOf(CLOSED)))?.[1]?.split('\n') ?? [];
  assert.match(chain[1] ?? '', /^ *ct state established,related accept$/);
  assert.equal(chain.filter(line => line.includes('vmap')).length, 4);
});

test('15: a connection that a new policy forbids is found, and one that it allows is not', () => {
  const compile = newCompiler();
  const packet = { src: '10.42.1.11', dst: '10.42.0.10', protocol: 'TCP', port: 80 } as Packet;
  assert.equal(permits(compile(toCluster(worldWith(PODS, []), 'n0')), packet), true);
  const only81 = toA({ ingress: [{ ports: [{ port: 81 }] }] });
  assert.equal(permits(compile(toCluster(worldWith(PODS, [only81]), 'n0')), packet), false);
  assert.equal(permits(compile(toCluster(worldWith(PODS, [only81]), 'n0')), { ...packet, port: 81 }), true);
});

test('16: an address whose pod is not known is closed both ways, whatever else is known of it', () => {
  const unknown = ['10.42.0.10', '10.42.0.99'] as Ip[];
  const cluster = { ...toCluster(worldWith(PODS, []), 'n0'), unknown };
  const rules = rulesOf(cluster);
  for (const own of unknown)
    for (const [src, dst] of [
      [own, '10.42.1.11'],
      ['10.42.1.11', own],
    ]) {
      const packet = { src, dst, protocol: 'TCP', port: 80 } as Packet;
      assert.equal(permits(rules, packet), false);
      assert.equal(evaluate(cluster, packet).allowed, false);
    }
  assert.match(renderTable(rules), /chain pending \{\n\s+counter drop\n/);
});

test('17: a pod that is done loses its address to the next, a terminating one keeps it', () => {
  const policy = toA({ ingress: [{ from: [{ podSelector: app('b') }] }] });
  for (const phase of ['Succeeded', 'Failed']) {
    const done = podOf('x/b', 11, { node: 1, phase });
    const next = podOf('y/next', 11, { node: 1 });
    holds(worldWith([A, done, next], [policy]), [['10.42.1.11', 'x/a', 'TCP 80', false]]);
    holds(worldWith([A, done], [policy]), [['10.42.1.11', 'x/a', 'TCP 80', false]]);
    // As a target: the old pod's policy does not hold the new one.
    const doneA = podOf('x/a', 10, { phase });
    holds(worldWith([doneA, podOf('y/next', 10), B], [toA({})]), [['x/b', '10.42.0.10', 'TCP 80', true]]);
  }
  holds(worldWith([A, podOf('x/b', 11, { node: 1, terminating: true })], [policy]), [
    ['x/b', 'x/a', 'TCP 80', true],
  ]);
  holds(worldWith([podOf('x/a', 10, { terminating: true }), B], [toA({})]), [
    ['x/b', 'x/a', 'TCP 80', false],
  ]);
});

test('18: hostNetwork pods are traffic of their node: no selector means them, a network does', () => {
  const host = podOf('x/host', 0, { node: 1, hostNetwork: true });
  const selects = policyOf('x/p', { ingress: [{ from: [{ podSelector: {} }, { namespaceSelector: {} }] }] });
  holds(worldWith([A, host], [selects]), [
    ['10.42.1.1', 'x/a', 'TCP 80', false],
    ['x/a', 'x/host', 'TCP 80', true],
  ]);
  holds(worldWith([A, host], [toA({ ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.2/32' } }] }] })]), [
    ['10.42.1.1', 'x/a', 'TCP 80', true],
  ]);
  holds(worldWith([A, host], [toA({ policyTypes: ['Egress'], egress: [{ to: [{ podSelector: {} }] }] })]), [
    ['x/a', 'x/host', 'TCP 80', false],
  ]);
});

test('19: Services: the hook comes after destination NAT and before masquerading, so endpoints are matched', () => {
  assert.match(renderTable(rulesOf(CLOSED)), /type filter hook forward priority filter; policy accept;/);
  assert.equal(renderTable(rulesOf(CLOSED)).match(/ hook /g)?.length, 1);
  // An egress rule that names only the Service's address lets nothing through to its endpoint.
  const service = toA({ policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '10.96.0.0/16' } }] }] });
  holds(worldWith(PODS, [service]), [['x/a', 'x/b', 'TCP 80', false]]);
});

test('20: what has no ports passes by rules without ports alone; neighbour discovery is never asked', () => {
  holds(
    worldWith(PODS, [
      toA({
        ingress: [
          { from: [{ podSelector: app('b') }] },
          { from: [{ podSelector: app('c') }], ports: [{ port: 80 }] },
        ],
      }),
    ]),
    [
      ['x/b', 'x/a', 'ICMP', true],
      ['x/b', 'x/a', 'ICMP', true, 6],
      ['x/c', 'x/a', 'ICMP', false],
      ['x/c', 'x/a', 'TCP 80', true],
    ],
  );
  holds(worldWith(PODS, [toA({ ingress: [{ ports: [{ protocol: 'TCP' }, { protocol: 'UDP' }] }] })]), [
    ['x/b', 'x/a', 'ICMP', false],
  ]);
  // Neighbour discovery is never forwarded: there is no chain where it would pass.
  assert.doesNotMatch(renderTable(rulesOf(CLOSED)), /hook (input|output|prerouting|postrouting)/);
});

test('21: a pod always reaches itself, also through a Service', () => {
  holds(worldWith(PODS, [policyOf('x/p', { policyTypes: ['Ingress', 'Egress'] })]), [
    ['x/a', 'x/a', 'TCP 80', true],
    ['x/a', 'x/a', 'TCP 80', true, 6],
    ['x/a', 'x/c', 'TCP 80', false],
  ]);
});

test('22: dual stack: selectors hold for both families, networks for their own', () => {
  holds(worldWith(PODS, [toA({ ingress: [{ from: [{ podSelector: app('b') }], ports: [{ port: 80 }] }] })]), [
    ['x/b', 'x/a', 'TCP 80', true, 4],
    ['x/b', 'x/a', 'TCP 80', true, 6],
    ['x/c', 'x/a', 'TCP 80', false, 6],
  ]);
  holds(worldWith(PODS, [toA({ ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] })]), [
    ['x/b', 'x/a', 'TCP 80', true, 4],
    ['x/b', 'x/a', 'TCP 80', false, 6],
  ]);
  holds(
    worldWith(PODS, [
      toA({ ingress: [{ from: [{ ipBlock: { cidr: '::/0', except: ['fd42:0:0:2::/64'] } }] }] }),
    ]),
    [
      ['x/c', 'x/a', 'TCP 80', true, 6],
      ['x/b', 'x/a', 'TCP 80', false, 6],
      ['2001:db8:ffff::7', 'x/a', 'TCP 80', true, 6],
    ],
  );
});
