/** Ports of the node that lead to pods: from outside, from pods, from the pod itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BRIDGE_MAC } from '../../constants.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, CONFIG, call, callPod, inPod, ip, json, newId, newNetns } from './bed.ts';
import { ether, ipv4, sctp } from './frames.ts';
import { untilNothingRemains } from './remains.ts';
import { ask, CLIENT, ended, mappings, NODE, outside, serve, TCP, UDP, useUplink } from './uplink.ts';

await enterLab(import.meta.filename);

const bed = useUplink();

test('from outside, both families and protocols, the pod sees who asks', async () => {
  const spelt = { HostPort: 8080, ContainerPort: 80, Protocol: 'udp', HostIP: '' };
  const pod = await addPod(mappings(TCP, spelt));
  await serve(pod, 'web');
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.equal(await ask(outside(), protocol, NODE.v4, 8080), `web ${CLIENT.v4}`);
    assert.equal(await ask(outside(), protocol, NODE.v6, 8080), `web ${CLIENT.v6}`);
  }
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 80), 'none');
});

test('from another pod of the node, and from the pod itself', async () => {
  const pod = await addPod(mappings(TCP));
  const other = await addPod();
  await serve(pod, 'web');
  assert.equal(await ask(other.netns, 'tcp', NODE.v4, 8080), `web ${other.v4}`);
  assert.equal(await ask(other.netns, 'tcp', NODE.v6, 8080), `web ${other.v6}`);
  assert.equal(await ask(pod.netns, 'tcp', NODE.v4, 8080), `web ${CONFIG.gateways[0]}`);
  assert.equal(await ask(pod.netns, 'tcp', NODE.v6, 8080), `web ${CONFIG.gateways[1]}`);
});

/** What tcpdump prints of the first packet that matches, where one comes. */
async function seen(netns: string, filter: string, send: () => Promise<unknown>): Promise<string> {
  const argv = [
    'nsenter',
    `--net=${netns}`,
    '--',
    'timeout',
    '3',
    'tcpdump',
    '-nn',
    '-c1',
    '-i',
    'eth0',
    filter,
  ];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  ended(child);
  let out = '';
  child.stdout.on('data', chunk => {
    out += chunk;
  });
  const closed = new Promise(resolve => child.once('close', resolve));
  await new Promise<void>(resolve => {
    child.stderr.on('data', chunk => {
      if (String(chunk).includes('listening on')) resolve();
    });
  });
  await send();
  await closed;
  return out.trim();
}

test('SCTP packets of one association are led there and back, checksums right, though this kernel may speak none', async () => {
  const pod = await addPod(mappings({ ...TCP, protocol: 'SCTP' }));
  const sender = '/mnt/frame';
  await here(['gcc', '-O1', '-o', sender, `${import.meta.dirname}/frame.c`]);
  const [{ address: uplink } = { address: '' }] = await json<{ address: string }[]>([
    'ip',
    '-j',
    'link',
    'show',
    'up0',
  ]);
  const own = pod.result.interfaces?.find(one => one.name === 'eth0')?.mac ?? '';
  const send = (netns: string, frame: string) => inPod(netns, sender, 'eth0', frame);
  const init = ether(
    uplink,
    '02:00:00:00:00:09',
    0x0800,
    ipv4(CLIENT.v4, NODE.v4, 132, sctp(4000, 8080, 1, 0, 7)),
  );
  const there = await seen(pod.netns, 'ip proto 132', () => send(outside(), init));
  assert.match(there, new RegExp(`IP ${CLIENT.v4}\\.4000 > ${pod.v4}\\.80: sctp .*INIT\\]`));
  assert.doesNotMatch(there, /bad cksum/);
  const ack = ether(BRIDGE_MAC, own, 0x0800, ipv4(pod.v4, CLIENT.v4, 132, sctp(80, 4000, 2, 7, 9)));
  const back = await seen(outside(), 'ip proto 132 and src port 8080', () => send(pod.netns, ack));
  assert.match(back, new RegExp(`IP ${NODE.v4}\\.8080 > ${CLIENT.v4}\\.4000: sctp .*INIT ACK\\]`));
});

test('a hostIP is the only address by which the port is there', async () => {
  await ip('addr', 'add', '192.0.2.77/32', 'dev', 'up0');
  const pod = await addPod(mappings({ ...TCP, hostIP: '192.0.2.77' }));
  await serve(pod, 'web');
  assert.equal(await ask(outside(), 'tcp', '192.0.2.77', 8080), `web ${CLIENT.v4}`);
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), 'none');
  assert.equal(await ask(outside(), 'tcp', NODE.v6, 8080), 'none');
});

test('two pods may have one port on two addresses, by two protocols, but not the same', async () => {
  const env = (name: string) => ({ env: { CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name}` } });
  await addPod({ ...mappings({ ...TCP, hostIP: NODE.v4 }), ...env('first') });
  await addPod({ ...mappings({ ...TCP, hostIP: NODE.v6 }), ...env('second') });
  await addPod({ ...mappings(UDP), ...env('third') });
  for (const mapping of [TCP, { ...TCP, hostIP: NODE.v4 }, { ...TCP, hostIP: '0.0.0.0' }]) {
    const answer = await call('ADD', {
      id: newId(),
      netns: await newNetns(),
      ...mappings(mapping),
      ...env('fourth'),
    });
    assert.equal(answer.json?.code, 103, answer.stdout);
    assert.match(answer.json?.msg ?? '', /8080\/tcp of shop\/fourth is held by shop\/first/);
  }
  assert.equal(bed.cni.leases().length, 3);
});

test('DEL takes the port away; the next pod can have it at once', async () => {
  const first = await addPod(mappings(TCP, UDP));
  await serve(first, 'first');
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), `first ${CLIENT.v4}`);
  assert.equal((await callPod('DEL', first)).code, 0);
  assert.doesNotMatch(await here(['nft', 'list', 'table', 'inet', 'weft-ports']), /8080/);
  const second = await addPod(mappings(TCP, UDP));
  await serve(second, 'second');
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), `second ${CLIENT.v4}`);
  assert.equal(await ask(outside(), 'udp', NODE.v4, 8080), `second ${CLIENT.v4}`);
});

const PERSISTENT = `const s = require('dgram').createSocket('udp4'); s.bind(7777);
const t = setInterval(() => s.send('x', 8080, process.argv[1]), 50);
s.on('message', m => { console.log(String(m)); clearInterval(t); s.close(); clearTimeout(end); });
const end = setTimeout(() => process.exit(), 6000);`;

test('a UDP flow that began before the pod had the port reaches it too', async () => {
  // As on a node with kube-proxy: connections are tracked, whoever asks.
  await here(['nft', '-f', '-'], {
    stdin:
      'table inet tracked {\n chain c {\n type filter hook input priority 0;\n ct state new counter\n }\n}\n',
  });
  const answer = inPod(outside(), process.execPath, '-e', PERSISTENT, NODE.v4);
  await sleep(600);
  const flows = await here(['sh', '-c', 'conntrack -L -p udp --orig-port-dst 8080 2>/dev/null']);
  assert.match(flows, /dport=8080/);
  await serve(await addPod(mappings(UDP)), 'web');
  assert.equal((await answer).trim(), `web ${CLIENT.v4}`);
  await here(['nft', 'delete', 'table', 'inet', 'tracked']);
});

test('the port of a pod that went without DEL can be had', async () => {
  const first = await addPod(mappings(TCP));
  await ip('netns', 'del', first.netns.replace('/run/netns/', ''));
  for (let n = 0; n < 200 && (await ip('link')).includes(first.link); n++);
  const second = await addPod(mappings(TCP));
  await serve(second, 'second');
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), `second ${CLIENT.v4}`);
});

test('an agent that starts again, a flushed set and a deleted table: the ports come back', async () => {
  const pod = await addPod(mappings(TCP));
  await serve(pod, 'web');
  await bed.restart();
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), `web ${CLIENT.v4}`);
  for (const harm of [
    'flush map inet weft-ports any4',
    'delete table inet weft-ports',
    'flush chain inet weft-ports to_pods',
  ]) {
    await here(['nft', harm]);
    assert.ok((await bed.cni.sweep()) > 0, harm);
    assert.equal(await ask(outside(), 'tcp', NODE.v4, 8080), `web ${CLIENT.v4}`);
    assert.equal(await bed.cni.sweep(), 0);
  }
  await here(['nft', 'add element inet weft-ports any4 { tcp . 9999 : 10.42.1.200 . 80 }']);
  assert.ok((await bed.cni.sweep()) > 0);
  assert.doesNotMatch(await here(['nft', 'list', 'table', 'inet', 'weft-ports']), /9999/);
});

test('CHECK fails when a port leads to the pod no more', async () => {
  const pod = await addPod(mappings(TCP, UDP));
  assert.equal((await callPod('CHECK', pod)).code, 0);
  await here(['nft', 'delete element inet weft-ports any6 { udp . 8080 }']);
  const answer = await callPod('CHECK', pod);
  assert.ok((answer.json?.code ?? 0) >= 100, answer.stdout);
  assert.match(answer.json?.msg ?? '', /udp \. 8080/);
});

test('the table is gone when nobody has a port any more', async () => {
  const pod = await addPod(mappings(TCP));
  assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
  await bed.cni.sweep(false);
  assert.doesNotMatch(await here(['nft', 'list', 'tables']), /weft-ports/);
  assert.equal(await bed.cni.sweep(), 0);
});

test('a hundred ports of one pod', async () => {
  const list = Array.from({ length: 100 }, (_, n) => ({
    hostPort: 9000 + n,
    containerPort: 80,
    protocol: 'tcp',
  }));
  const pod = await addPod(mappings(...list));
  await serve(pod, 'web');
  assert.equal(await ask(outside(), 'tcp', NODE.v4, 9099), `web ${CLIENT.v4}`);
});

test('mappings that cannot be are refused with the value and the reason', async () => {
  for (const [mapping, reason] of [
    [{ ...TCP, protocol: 'icmp' }, /icmp.*protocol/],
    [{ ...TCP, hostPort: 70_000 }, /70000.*65535/],
    [{ ...TCP, containerPort: 0 }, /65535/],
    [{ ...TCP, hostIP: 'nowhere' }, /nowhere.*no address/],
  ] as const) {
    const answer = await call('ADD', { id: newId(), netns: await newNetns(), ...mappings(mapping) });
    assert.equal(answer.json?.code, 7);
    assert.match(answer.json?.msg ?? '', reason);
  }
  const none = await addPod(mappings({ containerPort: 80, protocol: 'tcp' }, { ...TCP, hostPort: 0 }));
  assert.equal((await callPod('CHECK', none)).code, 0);
});
