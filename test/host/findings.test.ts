import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findings } from '../../host/findings.ts';
import type { ForwardFact, HostFacts } from '../../host/types.ts';
import type { Cidr } from '../../types.ts';

const facts = (given: Partial<HostFacts> = {}): HostFacts => ({
  forward: [],
  input: [],
  firewalldKnowsUs: false,
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

test('firewalld is an error until it names our links and networks', () => {
  const chain = {
    family: 'inet',
    table: 'firewalld',
    name: 'filter_FORWARD',
    hook: 'forward',
    policy: 'accept',
  } as const;
  const blocked = forward({
    chain,
    ours: false,
    blockedBy: 'filter_FORWARD: reject with icmpx admin-prohibited',
  });
  const [finding] = findings(facts({ forward: [blocked] }));
  assert.match(finding?.cure ?? '', /--zone=trusted --add-source=10\.42\.0\.0\/16/);
  assert.deepEqual(findings(facts({ forward: [blocked], firewalldKnowsUs: true })), []);
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
