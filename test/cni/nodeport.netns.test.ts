/** Pods' hostPorts from the node itself, by its addresses and by 127.0.0.1, and what that must not open. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BRIDGE_MAC } from '../../constants.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { addPod, CONFIG, callPod, inPod, json } from './bed.ts';
import { ether, ipv4 } from './frames.ts';
import { untilNothingRemains } from './remains.ts';
import { ask, CLIENT, ended, HERE, mappings, NODE, outside, serve, TCP, UDP, useUplink } from './uplink.ts';

await enterLab(import.meta.filename);

const bed = useUplink();

test('from the node by its address, and by 127.0.0.1, both protocols', async () => {
  const pod = await addPod(mappings(TCP, UDP));
  await serve(pod, 'web');
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.equal(await ask(HERE, protocol, NODE.v4, 8080), `web ${NODE.v4}`);
    assert.equal(await ask(HERE, protocol, NODE.v6, 8080), `web ${NODE.v6}`);
    assert.equal(await ask(HERE, protocol, '127.0.0.1', 8080), `web ${CONFIG.gateways[0]}`);
  }
});

/** TCP from an address of the node's own choice. */
const askFrom = async (source: string, address: string): Promise<string> => {
  const script = `const c = require('net').connect({ port: 8080, host: '${address}', localAddress: '${source}' });
    c.on('error', e => console.log(e.code)); c.on('data', d => process.stdout.write(d)); setTimeout(() => process.exit(), 1500).unref();`;
  return (await inPod(HERE, process.execPath, '-e', script)).trim() || 'none';
};

test('a hostIP of loopback is for the node alone, by 127.0.0.1, or from an address that is none', async () => {
  const pod = await addPod(mappings({ ...TCP, hostIP: '127.0.0.1' }, { ...TCP, hostIP: '::1' }));
  await serve(pod, 'web');
  assert.equal(await ask(HERE, 'tcp', '127.0.0.1', 8080), `web ${CONFIG.gateways[0]}`);
  assert.equal(await askFrom(NODE.v4, '127.0.0.1'), `web ${NODE.v4}`);
  assert.equal(await askFrom(NODE.v6, '::1'), `web ${NODE.v6}`);
  for (const address of [NODE.v4, NODE.v6]) {
    assert.equal(await ask(outside(), 'tcp', address, 8080), 'none');
    assert.equal(await ask(HERE, 'tcp', address, 8080), 'none');
  }
});

test('what listens on the node’s 127.0.0.1 stays the node’s: no pod and no neighbour gets there', async () => {
  const server = spawn(process.execPath, [
    '-e',
    "const s = require('dgram').createSocket('udp4'); s.bind(5001, '127.0.0.1', () => console.log('ready')); s.on('message', m => console.log('reached'));",
  ]);
  ended(server);
  let said = '';
  server.stdout.on('data', chunk => {
    said += chunk;
  });
  await until('the server', () => said.includes('ready') || undefined);
  const pod = await addPod(mappings(TCP));
  const sysctl = (link: string) =>
    here(['cat', `/proc/sys/net/ipv4/conf/${link}/route_localnet`]).then(text => text.trim());
  assert.deepEqual(await Promise.all(['weft0', pod.link, 'all', 'up0'].map(sysctl)), ['1', '1', '0', '0']);
  const sender = '/mnt/frame';
  await here(['gcc', '-O1', '-o', sender, `${import.meta.dirname}/frame.c`]);
  const mac = pod.result.interfaces?.find(one => one.name === 'eth0')?.mac ?? '';
  const frames = [ether(BRIDGE_MAC, mac, 0x0800, ipv4(pod.v4, '127.0.0.1'))];
  const tryAll = async (): Promise<void> => {
    await inPod(pod.netns, sender, 'eth0', ...frames);
    const [{ address: uplink } = { address: '' }] = await json<{ address: string }[]>([
      'ip',
      '-j',
      'link',
      'show',
      'up0',
    ]);
    await inPod(
      outside(),
      sender,
      'eth0',
      ether(uplink, '02:00:00:00:00:09', 0x0800, ipv4(CLIENT.v4, '127.0.0.1')),
    );
    await sleep(200);
  };
  await tryAll();
  assert.doesNotMatch(said, /reached/);
  // Each of the two guards does it alone; without both the frame would arrive.
  await here(['nft', 'flush chain bridge weft ingress']);
  await tryAll();
  assert.doesNotMatch(said, /reached/);
  await here(['nft', 'flush chain inet weft-ports guard']);
  await tryAll();
  assert.match(said, /reached/, 'the test can see it');
  assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
  await bed.cni.sweep();
  assert.equal(await sysctl('weft0'), '0');
});
