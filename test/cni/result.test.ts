import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addResult } from '../../cni/result.ts';
import { type Request, VERSIONS } from '../../cni/spec.ts';
import type { Cidr, Ip } from '../../types.ts';
import { golden } from '../golden.ts';
import { lease } from './leases.ts';

const GATEWAYS = ['10.42.1.1', 'fd42::1'] as Ip[];
const NETNS = '/var/run/netns/pod';

const DEFAULTS = ['0.0.0.0/0', '::/0'] as unknown as readonly Cidr[];

const asked = (more: Partial<Request>) =>
  ({ netns: NETNS, version: '1.0.0', prevResult: undefined, dns: {}, ...more }) as const;

test('the result in each version', () => {
  const all = VERSIONS.map(version => addResult(lease(2), GATEWAYS, asked({ version }), DEFAULTS));
  golden(
    `${import.meta.dirname}/golden/results.json`,
    `${JSON.stringify(Object.fromEntries(VERSIONS.map((version, n) => [version, all[n]])), undefined, 2)}\n`,
  );
});

test('behind another plugin its result comes first, and our indexes point at our own interface', () => {
  const raw = {
    interfaces: [{ name: 'other0' }, { name: 'lo', sandbox: NETNS }],
    ips: [{ address: '192.0.2.1/24', interface: 1 }],
    routes: [{ dst: '192.0.2.0/24' }],
    dns: { nameservers: ['192.0.2.53'] },
  };
  const result = addResult(lease(2), GATEWAYS, asked({ prevResult: { ips: [], routes: [], raw } }), DEFAULTS);
  const { interfaces, ips, routes, dns } = result as Record<string, Record<string, unknown>[]>;
  assert.deepEqual(interfaces?.slice(0, 2), raw.interfaces);
  assert.deepEqual(ips?.[0], raw.ips[0]);
  assert.deepEqual(routes?.[0], raw.routes[0]);
  assert.deepEqual(dns, raw.dns);
  for (const ip of ips?.slice(1) ?? []) assert.equal(interfaces?.[ip.interface as number]?.name, 'eth0');
  assert.equal(ips?.length, 3);
});

test('DNS of the configuration goes before another plugin’s, and what no runtime could read is left out', () => {
  const raw = { dns: { nameservers: ['192.0.2.53'], domain: 7, search: ['old'], more: 1 } };
  const prevResult = { ips: [], routes: [], raw };
  const { dns } = addResult(lease(2), GATEWAYS, asked({ prevResult, dns: { search: ['new'] } }), DEFAULTS);
  assert.deepEqual(dns, { nameservers: ['192.0.2.53'], search: ['new'] });
});
