/** What the doctor says of a node: of a healthy one, and of each thing that may be wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusReport } from '../../agent/report.ts';
import { RIGHTS } from '../../discovery/rights.ts';
import { checks } from '../../doctor/checks.ts';
import type { NodeFacts } from '../../doctor/types.ts';
import { golden } from '../golden.ts';

type Change<T> = Readonly<Partial<T>>;

const pool = (used: number) => ({
  cidr: '10.42.1.0/24',
  family: 4,
  size: '253',
  used,
  cooling: 0,
  free: String(253 - used),
});

const status = (change: Readonly<Record<string, unknown>> = {}): StatusReport =>
  ({
    node: 'node1',
    parts: [
      { part: 'kernel', ready: true },
      { part: 'cni', ready: true },
    ],
    engine: { kind: 'kernel' },
    listenPort: 51820,
    mtu: 1420,
    podCidrs: ['10.42.1.0/24', 'fd42:0:0:1::/64'],
    clusterCidrs: ['10.42.0.0/16'],
    endpoints: [{ t: 'host', a: '192.168.1.5:51820' }],
    peers: [
      { node: 'node2', state: 'established', mtu: 1420 },
      { node: 'node3', state: 'established', mtu: 1420 },
    ],
    excluded: [],
    warnings: [],
    host: { findings: [] },
    mended: { peers: 2 },
    cni: { leftovers: [], otherConfigs: { earlier: [], later: [] }, pools: [pool(7)] },
    ...change,
  }) as unknown as StatusReport;

const facts = (change: Change<NodeFacts> = {}): NodeFacts => ({
  status: status(),
  kernelRelease: '6.1.0',
  tables: { mesh: true, spoofing: true },
  antiSpoofing: true,
  modules: { ifb: true, sch_tbf: true },
  sysctls: {
    'ipv4/ip_forward': '1',
    'ipv6/conf/all/forwarding': '1',
    'ipv6/conf/all/disable_ipv6': '0',
    'netfilter/nf_conntrack_count': '100',
    'netfilter/nf_conntrack_max': '262144',
  },
  proxyMode: 'nftables',
  rights: RIGHTS.map(right => ({ ...right, allowed: true })),
  guarded: true,
  node: { kubeletVersion: 'v1.36.0', notReady: undefined },
  cniBinDir: '/opt/cni/bin',
  cniConfDir: '/etc/cni/net.d',
  clusterCidrsSet: true,
  settings: { path: '/etc/weft/config.json', error: undefined, changed: [] },
  ...change,
});

const sysctls = (change: Readonly<Record<string, string | undefined>>): Change<NodeFacts> => ({
  sysctls: { ...facts().sysctls, ...change },
});

const lost = (node: string) => ({
  node,
  state: 'retrying',
  stateAgeMs: 40_000,
  reason: `no answer from ${node}`,
});

const stories: Readonly<Record<string, Change<NodeFacts>>> = {
  'no WireGuard in the kernel': { status: status({ engine: { kind: 'wireguard-go' } }) },
  'no WireGuard at all': { status: status({ engine: { kind: 'none', reason: 'no wireguard-go here' } }) },
  'no nf_tables': { tables: { mesh: false, spoofing: false } },
  'anti-spoofing off': { antiSpoofing: false, tables: { mesh: true, spoofing: false } },
  'forwarding switched off': sysctls({ 'ipv4/ip_forward': '0', 'ipv6/conf/all/forwarding': '0' }),
  'no IPv6': sysctls({ 'ipv6/conf/all/disable_ipv6': undefined }),
  'connections tracked up to the brim': sysctls({ 'netfilter/nf_conntrack_count': '262000' }),
  'modules not loaded': { modules: {} },
  'one peer lost': { status: status({ peers: [lost('node2'), { node: 'node3', state: 'established' }] }) },
  'all peers lost, behind NAT': { status: status({ peers: [lost('node2'), lost('node3')] }) },
  'all peers lost, no endpoint': { status: status({ peers: [lost('node2'), lost('node3')], endpoints: [] }) },
  'no peers': { status: status({ peers: [] }) },
  'a black hole and a narrow underlay': {
    status: status({
      peers: [
        { node: 'node2', state: 'established', mtu: 1312, mtuLimit: 'black hole' },
        { node: 'node3', state: 'established', mtu: 1412, mtuLimit: 'underlay' },
      ],
    }),
  },
  'cluster CIDRs not set': { clusterCidrsSet: false },
  'a podCIDR outside of them': {
    status: status({
      warnings: [{ node: 'node2', message: 'podCIDR 10.99.0.0/24 is outside clusterCidrs' }],
    }),
  },
  'left out of the mesh': {
    status: status({ excluded: [{ node: 'node1', reason: 'holds the key of node2' }] }),
  },
  'another plugin first, and what one left': {
    status: status({
      cni: {
        leftovers: ['link cni0 has 10.42.1.1/24'],
        otherConfigs: { earlier: ['05-other.conflist'], later: [] },
        pools: [],
      },
    }),
  },
  'a firewall': {
    status: status({
      host: { findings: [{ id: 'forward', severity: 'error', what: 'FORWARD drops', cure: 'ufw allow' }] },
    }),
  },
  'a runtime that looks elsewhere': {
    node: { kubeletVersion: 'v1.36.0+k3s1', notReady: 'NetworkReady=false: cni plugin not initialized' },
  },
  'a kubelet with other troubles': { node: { kubeletVersion: 'v1.36.0', notReady: 'disk pressure' } },
  'a part not ready': {
    status: status({ parts: [{ part: 'kernel', ready: false, reason: 'peers: exit 1' }] }),
  },
  'rights missing': { rights: RIGHTS.map(right => ({ ...right, allowed: right.verb !== 'patch' })) },
  'no API server': {
    rights: RIGHTS.map(right => ({ ...right, allowed: undefined })),
    guarded: undefined,
    node: undefined,
  },
  'no WireGuard: its peers are no matter of UDP': {
    status: status({
      engine: { kind: 'none', reason: 'there is no wireguard-go' },
      peers: [
        { node: 'node2', state: 'retrying', mtu: 1420 },
        { node: 'node3', state: 'retrying', mtu: 1420 },
      ],
    }),
  },
  'settings that changed': {
    settings: { path: '/etc/weft/config.json', error: undefined, changed: ['mtu', 'logLevel'] },
  },
  'settings with errors': {
    settings: { path: '/etc/weft/config.json', error: 'mtu: x\nmtuu: y', changed: [] },
  },
  'a podCIDR that is nearly full': {
    status: status({ cni: { leftovers: [], otherConfigs: { earlier: [], later: [] }, pools: [pool(240)] } }),
  },
  'a full podCIDR': {
    status: status({ cni: { leftovers: [], otherConfigs: { earlier: [], later: [] }, pools: [pool(253)] } }),
  },
  'a network daemon that manages every link': { status: status({ mended: { routes: 4, pods: 2 } }) },
  'no admission policy': { guarded: false },
  'no kube-proxy': { proxyMode: undefined },
};

const line = ({ grade, id, what, cure }: ReturnType<typeof checks>[number]): string =>
  `  ${grade} ${id}: ${what}${cure === undefined ? '' : `\n    cure: ${cure}`}`;

test('a healthy node: everything is ok', () => {
  const found = checks(facts());
  assert.deepEqual(
    found.filter(c => c.grade !== 'ok'),
    [],
  );
  assert.ok(found.length >= 12);
  assert.equal(new Set(found.map(c => c.id)).size, found.length);
});

test('each thing that is wrong is said with what is lost and the cure, and nothing else is', () => {
  const text = Object.entries(stories).map(([title, change]) => {
    const found = checks(facts(change)).filter(c => c.grade !== 'ok');
    assert.ok(found.length > 0, `${title}: nothing is said`);
    return `${title}\n${found.map(line).join('\n')}\n`;
  });
  golden(`${import.meta.dirname}/golden/checks.txt`, text.join('\n'));
});

test('the worst comes first', () => {
  const all = { ...stories['no WireGuard at all'], clusterCidrsSet: false, modules: {} };
  const grades = checks(facts(all)).map(c => c.grade);
  const sorted = grades.toSorted((a, b) => {
    const rank = ['error', 'warning', 'info', 'ok'];
    return rank.indexOf(a) - rank.indexOf(b);
  });
  assert.deepEqual(grades, sorted);
});

test('a node that waits for the end of another pod network is told so, and no fault of its kernel', () => {
  const reason = 'has another pod network at work (cni0 10.42.1.1)';
  const waiting = {
    excluded: [{ node: 'node1', kind: 'occupied', reason }],
    engine: { kind: 'none', reason: 'weft waits' },
    peers: [],
  };
  const said = checks(facts({ status: status(waiting), tables: { mesh: false, spoofing: false } }));
  const bad = said.filter(check => check.grade !== 'ok');
  assert.deepEqual(
    bad.map(check => check.what),
    [`this node is not in the mesh: it ${reason}`],
  );
});
