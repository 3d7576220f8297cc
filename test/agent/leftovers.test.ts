import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leftoverConfigs, leftoverLinks } from '../../agent/leftovers.ts';
import type { Cidr } from '../../types.ts';

const CIDRS = ['10.42.1.0/24', 'fd42:0:0:1::/64'] as Cidr[];

test('a link of another plugin in our range is named with the way to remove it', () => {
  const found = leftoverLinks(
    [
      { link: 'cni0', address: '10.42.1.1/24' },
      { link: 'kube-bridge', address: 'fd42:0:0:1::1/64' },
      { link: 'weft0', address: '10.42.1.1/32' },
      { link: 'weft-wg', address: '10.42.1.1/32' },
      { link: 'wv0123', address: '10.42.1.9/32' },
      { link: 'eth0', address: '192.0.2.1/24' },
      { link: 'cni0', address: 'fe80::1/64' },
      { link: 'flannel.1', address: '10.42.2.0/32' },
    ],
    CIDRS,
  );
  assert.equal(found.length, 2);
  assert.match(found[0] ?? '', /link cni0 has 10\.42\.1\.1\/24.*ip link delete cni0/);
  assert.match(found[1] ?? '', /kube-bridge/);
  assert.deepEqual(leftoverLinks([{ link: 'cni0', address: '10.42.1.1/24' }], []), []);
});

test('configurations before ours are all named, the one that counts first', () => {
  assert.deepEqual(leftoverConfigs('/etc/cni/net.d', []), []);
  const [sentence = ''] = leftoverConfigs('/etc/cni/net.d', ['05-cilium.conflist', '10-flannel.conflist']);
  assert.match(
    sentence,
    /uses \/etc\/cni\/net\.d\/05-cilium\.conflist.*remove 05-cilium\.conflist, 10-flannel/,
  );
});
