/** Checklist of the CNI contract, 34 and 35: a pod that ADD has answered for can use its wire at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { addPod, CONFIG, callPod, inPod } from './bed.ts';
import { untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

useBed();

test('34 and 35 both families are usable at once: nothing is tentative', async () => {
  const pod = await addPod();
  assert.equal(await inPod(pod.netns, 'ip', '-6', 'addr', 'show', 'tentative'), '');
  assert.equal(pod.result.ips?.length, 2);
});

test('34 the very first packet of a pod arrives, both ways, also on a bridge that had no port', async () => {
  for (let n = 0; n < 8; n++) {
    const pod = await addPod();
    await Promise.all([
      inPod(pod.netns, 'ping', '-n', '-c1', '-W1', '-I', pod.v6, CONFIG.gateways[1] ?? ''),
      inPod('/proc/self/ns/net', 'ping', '-n', '-c1', '-W1', pod.v4),
    ]);
    assert.equal((await callPod('DEL', pod)).code, 0);
    await untilNothingRemains();
  }
});

test('pods forward, and take no router advertisements', async () => {
  const pod = await addPod();
  const read = (key: string) => inPod(pod.netns, 'cat', `/proc/sys/net/${key}`);
  assert.equal((await read('ipv4/ip_forward')).trim(), '1');
  assert.equal((await read('ipv6/conf/eth0/accept_ra')).trim(), '0');
});
