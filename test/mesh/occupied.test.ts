/** When weft waits for another pod network on its node, and when not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readiness } from '../../agent/readiness.ts';
import { occupiedBy } from '../../mesh/occupied.ts';
import type { Outcome } from '../../mesh/reconcile.ts';
import type { MeshPlan } from '../../mesh/types.ts';
import type { Cidr } from '../../types.ts';
import { newBed, THREE } from './reconciled.ts';

const WATCH = { synced: true, connected: true, error: undefined, restarts: 0 };

const plan = (
  podCidrs: readonly string[],
  clusterCidrs = ['10.42.0.0/16', 'fd00:10:42::/56'],
): Pick<MeshPlan, 'self' | 'clusterCidrs'> => ({
  self: { name: 'n', podCidrs: podCidrs.map(text => text as Cidr), gateways: [] },
  clusterCidrs: clusterCidrs.map(text => text as Cidr),
});

const OWN = plan(['10.42.0.0/24', 'fd00:10:42::/64']);

const at = (...lines: readonly string[]) =>
  lines.map(line => {
    const [link = '', address = ''] = line.split(' ');
    return { link, address };
  });

const HOST = ['lo 127.0.0.1/8', 'eth0 192.168.77.11/24', 'eth0 fd00:77::11/64', 'weft0 fe80::1/64'];
const FLANNEL = ['flannel.1 10.42.0.0/32', 'flannel-v6.1 fd00:10:42::/128', 'cni0 10.42.0.1/24'];

test('links of flannel with addresses of our podCIDRs are named', () => {
  assert.equal(occupiedBy(OWN, at(...HOST)), undefined);
  assert.match(
    occupiedBy(OWN, at(...HOST, ...FLANNEL, 'cni0 fd00:10:42::1/64')) ?? '',
    /^has another pod network at work.*\(cni0 10\.42\.0\.1, cni0 fd00:10:42::1, flannel-v6\.1 fd00:10:42::, …\)/,
  );
});

test('another node’s networks are no business of ours, but while ours are not known they may be', () => {
  const stray = at('docker0 10.42.7.1/24');
  assert.equal(occupiedBy(OWN, stray), undefined);
  assert.match(occupiedBy(plan([]), stray) ?? '', /docker0 10\.42\.7\.1/);
  assert.equal(occupiedBy(plan([], []), stray), undefined);
});

test('where weft is at work already it does not stop, and its own links are none of others', () => {
  const ours = at('weft0 10.42.0.1/32', 'weft-wg 10.42.0.1/32');
  assert.equal(occupiedBy(OWN, [...ours, ...at(...FLANNEL)]), undefined);
  // As wireguard-go leaves it behind.
  assert.equal(occupiedBy(OWN, at('weft-wg 10.42.0.1/32')), undefined);
});

const reasonOf = (outcome: Outcome): string =>
  readiness('node1', outcome, WATCH, undefined)[0]?.reason ?? 'ready';

test('a pass on such a node changes nothing and says why; the first one behind the other network’s end makes everything', async () => {
  const bed = newBed();
  const before = bed.kernel.print();
  const addresses = at('cni0 10.42.1.1/24');
  const outcome = await bed.pass(THREE, true, undefined, { addresses });
  assert.deepEqual([outcome.changes, outcome.errors, outcome.device], [0, [], undefined]);
  assert.deepEqual([outcome.plan.peers, outcome.plan.self.podCidrs], [[], []]);
  assert.equal(bed.kernel.print(), before);
  assert.match(reasonOf(outcome), /^this Node has another pod network at work/);
  const after = await bed.pass(THREE, true, undefined, { addresses: [] });
  assert.equal(reasonOf(after), 'ready');
  assert.equal(after.plan.peers.length, 2);
  // Another one that comes now stops nothing, not even where somebody takes our bridge away.
  const late = await bed.pass(THREE, true, undefined, { addresses });
  assert.equal(late.plan.peers.length, 2);
});
