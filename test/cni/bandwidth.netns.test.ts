/** Limits on what a pod sends and receives. Speeds are compared with each other, never with a clock of their own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { LinuxError } from '../../platform/linux/errors.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { type Added, addPod, type Call, CONFIG, call, callPod, inPod, ip, newId, newNetns } from './bed.ts';
import { remains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const HERE = '/proc/self/ns/net';

const bed = useBed();

const limited = (bandwidth: Readonly<Record<string, number>>): Call => ({
  config: { runtimeConfig: { bandwidth } },
});

const BOTH = { ingressRate: 40_000_000, egressRate: 8_000_000 } as const;

const LISTEN = `const s = require('net').createServer(c => { let n = 0; const t = Date.now();
c.on('data', b => { n += b.length; }); c.on('close', () => { console.log(n, Date.now() - t); process.exit(); }); });
s.listen(5001, '::', () => console.log('ready'));`;

const SEND = `const c = require('net').connect(5001, process.argv[1], () => { const b = Buffer.alloc(65536); let on = true;
const go = () => { while (on && c.write(b)); }; c.on('drain', go); go();
setTimeout(() => { on = false; c.destroy(); }, 1500); }); c.on('error', () => {});`;

/** Bits a second that arrived at `to` from `from`. */
async function speed(from: string, to: string, address: string): Promise<number> {
  const argv = ['nsenter', `--net=${to}`, '--', process.execPath, '-e', LISTEN];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', chunk => {
    out += chunk;
  });
  const closed = new Promise(resolve => child.once('close', resolve));
  await until('the server', () => out.includes('ready') || undefined);
  await inPod(from, process.execPath, '-e', SEND, address);
  await closed;
  const [, bytes, ms] = /(\d+) (\d+)/.exec(out) ?? [];
  return (Number(bytes) * 8000) / Number(ms);
}

const shaping = (pod: Added): string => pod.link.replace(/^wv/, 'wb');

test('what a limited pod sends and receives is slowed to its limits, each to its own', async () => {
  const pod = await addPod(limited(BOTH));
  const [gateway = ''] = CONFIG.gateways;
  const sent = await speed(pod.netns, HERE, gateway);
  const received = await speed(HERE, pod.netns, pod.v4);
  const free = await addPod();
  const unlimited = await speed(free.netns, HERE, gateway);
  const all = `sends ${sent}, receives ${received}, without limit ${unlimited}`;
  assert.ok(sent < 1.6 * BOTH.egressRate && received < 1.6 * BOTH.ingressRate, all);
  assert.ok(received > 1.5 * sent && unlimited > 1.5 * received, all);
});

test('a limited pod is reached by both families, and spoofing is still dropped', async () => {
  const pod = await addPod(limited(BOTH));
  const other = await addPod();
  for (const address of [...CONFIG.gateways, other.v4, other.v6])
    await inPod(pod.netns, 'ping', '-n', '-c1', '-W1', address);
  await inPod(pod.netns, 'ip', 'addr', 'add', '10.42.1.200/32', 'dev', 'eth0');
  await assert.rejects(
    inPod(pod.netns, 'ping', '-n', '-c1', '-W1', '-I', '10.42.1.200', CONFIG.gateways[0] ?? ''),
  );
  assert.match(await here(['nft', 'list', 'counter', 'bridge', 'weft', 'spoofed_dropped']), /packets [1-9]/);
});

test('one direction alone', async () => {
  const down = await addPod(limited({ ingressRate: 40_000_000 }));
  assert.equal((await ip('link')).includes(shaping(down)), false);
  assert.match(await here(['tc', 'qdisc', 'show', 'dev', down.link]), /tbf.*rate 40Mbit/);
  const up = await addPod(limited({ egressRate: 8_000_000 }));
  assert.doesNotMatch(await here(['tc', 'qdisc', 'show', 'dev', up.link]), /tbf/);
  assert.match(await here(['tc', 'qdisc', 'show', 'dev', shaping(up)]), /tbf.*rate 8Mbit/);
});

test('DEL, a vanished namespace and a killed agent’s leftovers leave no link', async () => {
  const gone = async (name: string): Promise<void> => {
    await until(`${name} to go`, async () => !(await ip('link')).includes(name) || undefined);
  };
  const first = await addPod(limited(BOTH));
  assert.equal((await callPod('DEL', first)).code, 0);
  await gone(shaping(first));
  const second = await addPod(limited(BOTH));
  await ip('netns', 'del', second.netns.replace('/run/netns/', ''));
  await gone(second.link);
  await bed.cni.sweep();
  await gone(shaping(second));
  await ip('link', 'add', 'wb0123456789a', 'type', 'ifb');
  await bed.restart();
  await gone('wb0123456789a');
});

test('an agent that starts again keeps them, and what was taken away is put back', async () => {
  const pod = await addPod(limited(BOTH));
  await bed.restart();
  assert.equal((await callPod('CHECK', pod)).code, 0);
  assert.equal(await bed.cni.sweep(), 0);
  for (const harm of [
    ['tc', 'qdisc', 'del', 'dev', pod.link, 'root'],
    ['ip', 'link', 'del', shaping(pod)],
  ]) {
    await here(harm);
    assert.ok(((await callPod('CHECK', pod)).json?.code ?? 0) >= 100, harm.join(' '));
    assert.equal(await bed.cni.sweep(), 1);
    assert.equal((await callPod('CHECK', pod)).code, 0);
  }
});

test('a kernel that cannot is a clear error, nothing is left, and others are served', async () => {
  await bed.stop();
  const kernel = openKernel();
  const change: typeof kernel.rt.change = (what, ...rest) =>
    what.startsWith('shape')
      ? Promise.reject(new LinuxError('ENOENT', what))
      : kernel.rt.change(what, ...rest);
  await bed.start({ kernel: { ...kernel, rt: { ...kernel.rt, change } } });
  const answer = await call('ADD', { id: newId(), netns: await newNetns(), ...limited(BOTH) });
  assert.equal(answer.json?.code, 2, answer.stdout);
  assert.match(answer.json?.msg ?? '', /sch_tbf/);
  assert.deepEqual(await remains(), []);
  assert.equal((await callPod('DEL', await addPod())).code, 0);
});

test('limits that cannot be are refused', async () => {
  for (const bandwidth of [{ ingressRate: -1 }, { egressRate: 10 }, { egressRate: 1.5 }]) {
    const answer = await call('ADD', { id: newId(), netns: await newNetns(), ...limited(bandwidth) });
    assert.equal(answer.json?.code, 7);
  }
});
