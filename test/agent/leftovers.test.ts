import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leftoverConfigs } from '../../agent/leftovers.ts';

test('configurations before ours are all named, the one that counts first', () => {
  assert.deepEqual(leftoverConfigs('/etc/cni/net.d', []), []);
  const [sentence = ''] = leftoverConfigs('/etc/cni/net.d', ['05-cilium.conflist', '10-flannel.conflist']);
  assert.match(
    sentence,
    /uses \/etc\/cni\/net\.d\/05-cilium\.conflist.*remove 05-cilium\.conflist, 10-flannel/,
  );
});
