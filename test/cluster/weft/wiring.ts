/** What the CNI plugin leaves behind, and what it says to the runtime. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { inNode, makePods, pingFrom } from '../pods.ts';
import { until } from '../process.ts';
import { agentStatus, watchCalls } from './agent.ts';
import type { World } from './world.ts';

/** The first, third, fifth and seventh ADD are killed, each a bit later in its life, and of the DELs likewise. */
const KILLER = `begun=/run/calls/$CNI_COMMAND; echo x >> $begun; n=$(wc -l < $begun)
if [ $CNI_COMMAND = STATUS ] || [ $((n % 2)) = 0 ] || [ $n -gt 7 ]; then /run/calls/weft-cni; code=$?
else exec 3<&0; /run/calls/weft-cni <&3 & sleep 0.00$((n / 2)); kill -9 $!; wait $!; code=$?; fi`;

export const wiring = (world: () => World): void => {
  it('frees the address and leaves no link when a pod is deleted', async () => {
    const { cluster, must } = world();
    const [gone] = await makePods(cluster, { gone: 'node2' });
    const status = await agentStatus(cluster, 'node2');
    const lease = status.pods.find(({ pod }) => pod?.name === 'gone');
    assert.ok(gone && lease);
    assert.deepEqual(lease.ips, gone.ips);
    const traces = async (): Promise<string> => {
      const script = `ls /run/weft/pods; ip -o link show ${lease.link}; nft list table bridge weft; nft list table inet weft
        ip route; ip -6 route; ip neigh; ip -6 neigh; grep -l '"gone"' /run/weft/pods/*`;
      return (await cluster.exec('node2', ['sh', '-c', script])).stdout;
    };
    const found = async () => {
      const text = await traces();
      return [lease.link, ...lease.ips, '/run/weft/pods/'].filter(trace => text.includes(trace));
    };
    assert.equal((await found()).length, 4);
    await must(['delete', 'pod', 'gone']);
    await until('no trace of the pod', 20_000, async () => (await found()).length === 0).catch(
      async error => {
        throw new Error(`${error.message}: ${(await found()).join(', ')} in ${await traces()}`);
      },
    );
    const { cni, pods: leases } = await agentStatus(cluster, 'node2');
    assert.deepEqual(
      cni.pools.map(pool => pool.used),
      status.cni.pools.map(pool => pool.used - 1),
    );
    assert.ok(!leases.some(({ pod }) => pod?.name === 'gone'));
  });

  it('answers STATUS, to containerd and by hand', async () => {
    const { cluster } = world();
    const calls = await watchCalls(cluster, 'node1');
    const answered = async () => (await calls.read()).filter(call => call.startsWith('STATUS')).length >= 2;
    await until('two STATUS calls of containerd', 30_000, answered);
    await calls.end();
    const status = (await calls.read()).filter(call => call.startsWith('STATUS'));
    assert.deepEqual(new Set(status), new Set(['STATUS 0']));
    const byHand = await cluster.exec('node1', ['/opt/cni/bin/weft-cni'], {
      input: '{"cniVersion":"1.1.0","name":"weft","type":"weft-cni"}',
      env: { CNI_COMMAND: 'STATUS', CNI_PATH: '/opt/cni/bin' },
    });
    assert.deepEqual([byHand.code, byHand.stdout], [0, '']);
  });

  it('wires and frees pods whose CNI binary is killed in mid-call', async t => {
    const { cluster, must } = world();
    const used = async () => (await agentStatus(cluster, 'node3')).cni.pools.map(pool => pool.used);
    const links = async () =>
      (await inNode(cluster, 'node3', ['sh', '-c', 'ls /sys/class/net | grep -c ^wv'])).trim();
    const before = [await used(), await links()];
    const calls = await watchCalls(cluster, 'node3', KILLER);
    const names = Array.from({ length: 8 }, (_, index) => `killed-${index}`);
    const pods = await makePods(cluster, Object.fromEntries(names.map(name => [name, 'node3'])));
    assert.equal(new Set(pods.flatMap(pod => pod.ips)).size, 16);
    for (const ip of pods.flatMap(pod => pod.ips)) await pingFrom(cluster, 'node1', ip);
    await must(['delete', 'pod', ...names]);
    const clean = async () => isDeepStrictEqual([await used(), await links()], before);
    await until('nothing left of the pods', 60_000, clean).catch(async error => {
      throw new Error(`${error.message}: ${(await used()).join()} addresses, ${await links()} links`);
    });
    await calls.end();
    const log = await calls.read();
    t.diagnostic(`${log.length} calls, ${log.filter(call => call.endsWith(' 137')).length} of them killed`);
    assert.ok(log.includes('ADD 137') && log.includes('DEL 137'), 'both verbs were hit');
  });
};
