import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findings } from '../../host/findings.ts';
import { firewalldFact } from '../../host/firewalld.ts';
import type { ForwardFact, HostFacts } from '../../host/types.ts';
import type { Cidr } from '../../types.ts';

const facts = (given: Partial<HostFacts> = {}): HostFacts => ({
  forward: [],
  input: [],
  firewalld: [],
  chains: ['FORWARD', 'KUBE-SERVICES', 'KUBE-FORWARD', 'DOCKER-USER'],
  links: ['lo', 'eth0', 'weft0', 'weft-wg', 'wv0123456789ab', 'docker0', 'tunl0', 'wg0'],
  port: undefined,
  listenPort: 51820,
  clusterCidrs: ['10.42.0.0/16' as Cidr],
  ...given,
});

const forward = (given: Partial<ForwardFact> = {}): ForwardFact => ({
  kind: 'nft',
  chain: { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' },
  ours: true,
  blockedBy: undefined,
  error: undefined,
  ...given,
});

const brief = (given: Partial<HostFacts>): readonly string[] =>
  findings(facts(given)).map(f => `${f.severity}: ${f.id}${f.cure === undefined ? '' : ' (cure)'}`);

test('a host without others is nothing to talk about', () => {
  assert.deepEqual(findings(facts()), []);
});

test('a forward chain with our rules is told, one that cannot have them is an error with a cure', () => {
  assert.deepEqual(brief({ forward: [forward()] }), ['info: forward ip filter FORWARD']);
  assert.deepEqual(brief({ forward: [forward({ ours: false, error: 'Operation not permitted' })] }), [
    'error: forward ip filter FORWARD (cure)',
  ]);
  assert.deepEqual(
    brief({ forward: [forward({ kind: 'legacy', ours: false, blockedBy: 'FORWARD: -j REJECT' })] }),
    ['error: forward legacy ip filter FORWARD (cure)'],
  );
});

/** As nft prints them of firewalld 1.3.3. */
const zones = (...rules: readonly string[]): string =>
  [
    'table inet firewalld {',
    '\tchain filter_PREROUTING {',
    '\t\ttype filter hook prerouting priority filter + 10; policy accept;',
    '\t\tmeta nfproto ipv6 fib saddr . mark . iif oif missing drop',
    '\t}',
    '\tchain filter_FORWARD_ZONES {',
    ...rules.map(rule => `\t\t${rule}`),
    '\t\tgoto filter_FWD_public',
    '\t}',
    '\tchain filter_FWD_public {',
    '\t\treject with icmpx admin-prohibited',
    '\t}',
    '\tchain filter_FWD_trusted {',
    '\t\tjump filter_FWD_trusted_allow',
    '\t\taccept',
    '\t}',
    '}',
  ].join('\n');

const FIREWALLD: ForwardFact['chain'] = {
  family: 'inet',
  table: 'firewalld',
  name: 'filter_FORWARD',
  hook: 'forward',
  policy: 'accept',
};

test('firewalld is an error until a zone that accepts has our links or all our networks', () => {
  const cidrs = ['10.42.0.0/16', 'fd42::/48'] as Cidr[];
  const blocked = forward({
    chain: FIREWALLD,
    ours: false,
    blockedBy: 'filter_FORWARD: reject with icmpx admin-prohibited',
  });
  const said = (text: string): readonly string[] =>
    brief({
      forward: [blocked],
      clusterCidrs: cidrs,
      firewalld: [firewalldFact(FIREWALLD, text, cidrs, 51820)],
    });
  const cut = 'error: forward inet firewalld filter_FORWARD (cure)';
  const path = 'error: prerouting inet firewalld (cure)';
  const port = 'info: input inet firewalld (cure)';
  assert.deepEqual(said(zones()), [cut, path]);
  const v4 = 'ip saddr 10.42.0.0/16 goto filter_FWD_trusted';
  assert.deepEqual(said(zones(v4)), [cut, path], 'IPv6 is missing');
  const both = [v4, 'ip6 saddr fd42::/48 goto filter_FWD_trusted'];
  assert.deepEqual(said(zones(...both)), [path, port]);
  const whole = zones(...both).replace(/.*fib.*/, '\t\tudp dport 51820 accept');
  assert.deepEqual(said(whole), []);
  const links = (zone: string) => ['weft0', 'weft-wg'].map(link => `iifname "${link}" goto ${zone}`);
  assert.deepEqual(said(zones(...links('filter_FWD_trusted'))), [path, port]);
  assert.deepEqual(said(zones(...links('filter_FWD_public'))), [cut, path], 'a zone that rejects');
});

test('firewalld’s cure has all that it needs, also where its backend is iptables', () => {
  const chain = { ...FIREWALLD, family: 'ip', table: 'filter', name: 'FORWARD' } as const;
  const blocked = forward({ chain, ours: false, blockedBy: 'FWD_public: reject' });
  const [finding] = findings(facts({ forward: [blocked] }));
  assert.equal(
    finding?.cure,
    'firewall-cmd --permanent --zone=trusted --add-source=10.42.0.0/16; firewall-cmd --permanent --zone=trusted --add-interface=weft0; firewall-cmd --permanent --zone=trusted --add-interface=weft-wg; firewall-cmd --permanent --add-port=51820/udp; firewall-cmd --reload',
  );
  const text = zones(
    'iifname "weft0" counter packets 0 bytes 0 goto FWD_trusted',
    'iifname "weft-wg" counter packets 0 bytes 0 goto FWD_trusted',
  )
    .replaceAll('filter_F', 'F')
    .replace('\t\taccept', '\t\tcounter packets 0 bytes 0 accept');
  assert.ok(firewalldFact(chain, text, [], 51820).pods);
});

test('rules of other pod networks are told by owner, and some of their chains', () => {
  const chains = [
    'FLANNEL-FWD',
    'FLANNEL-POSTRTG',
    'FLANNEL-FWD',
    ...[1, 2, 3, 4].map(n => `KUBE-POD-FW-${n}`),
  ];
  const [first, second] = findings(facts({ chains }));
  assert.match(first?.what ?? '', /^Rules of flannel .* chains FLANNEL-FWD, FLANNEL-POSTRTG:/);
  assert.match(second?.what ?? '', /kube-router .* KUBE-POD-FW-1, KUBE-POD-FW-2, KUBE-POD-FW-3 and 1 more:/);
});

test('leftovers of other pod networks are told by owner', () => {
  const links = [
    'cni0',
    'flannel.1',
    'cilium_host',
    'cilium_net',
    'cali0123456789a',
    'vxlan.calico',
    'kube-ipvs0',
  ];
  assert.deepEqual(brief({ links }), [
    'warning: foreign calico (cure)',
    'warning: foreign cilium (cure)',
    'warning: foreign flannel (cure)',
    'warning: foreign flannel or another bridge plugin (cure)',
    'warning: kube-proxy ipvs (cure)',
  ]);
  const [calico] = findings(facts({ links }));
  assert.match(calico?.what ?? '', /of calico: cali0123456789a, vxlan\.calico\./);
});

test('a port that is held names its holder, and an input chain that drops names the port', () => {
  const chain = { family: 'inet', table: 'fw', name: 'in', hook: 'input', policy: 'drop' } as const;
  const [held, input] = findings(
    facts({ port: { port: 51820, holder: 'the process dnsmasq (pid 8)' }, input: [chain] }),
  );
  assert.match(held?.what ?? '', /51820.* held by the process dnsmasq \(pid 8\)/);
  assert.match(input?.cure ?? '', /ufw allow 51820\/udp/);
});
