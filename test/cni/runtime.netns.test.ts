/** A small runtime of its own on libcni: what containerd and CRI-O do and cnitool cannot. */
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { conflist, installBinary } from '../../cni/install.ts';
import { VERSIONS } from '../../cni/spec.ts';
import { enterLab } from '../lab/reenter.ts';
import type { CniResult } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { BINARY, CONFIG, inPod, newId, newLog, newNetns } from './bed.ts';
import { BIN, configure, runtime, skip, useChains } from './chain.ts';
import { remains, untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

const bed = useChains();

const newPod = async () => ({ id: newId(), netns: await newNetns() });

const attachment = ({ id }: { readonly id: string }) => ({ containerID: id, ifname: 'eth0' });

test('the version is the newest that runtime and list share; the plugin lists what it speaks', {
  skip,
}, async () => {
  configure(conflist());
  assert.equal(await runtime<string>('negotiated'), '1.1.0');
  assert.deepEqual(await runtime('supported'), [...VERSIONS]);
  const list = JSON.parse(conflist()) as Record<string, unknown>;
  configure(JSON.stringify({ ...list, cniVersions: ['0.4.0', '9.9.9'] }));
  assert.equal(await runtime<string>('negotiated'), '1.0.0', 'what nobody knows is passed over');
  configure(JSON.stringify({ ...list, cniVersion: '0.4.0', cniVersions: ['0.3.1'] }));
  assert.equal((await runtime<CniResult>('add', await newPod())).cniVersion, '0.4.0');
});

test('the capabilities of the list that weft installs', { skip }, async () => {
  configure(conflist());
  assert.deepEqual([...(await runtime<readonly string[]>('validate'))].sort(), [
    'bandwidth',
    'ips',
    'mac',
    'portMappings',
  ]);
});

test('gc with a list: what is cached and not on it goes by DEL, what is on it stays and lives', {
  skip,
}, async () => {
  configure(conflist());
  const [living, stale, forgotten] = [await newPod(), await newPod(), await newPod()];
  for (const pod of [living, stale, forgotten]) await runtime('add', pod);
  const before = await remains();
  await runtime('gc', { valid: [living, forgotten].map(attachment) });
  const own = (lines: readonly string[], id: string) => lines.filter(line => line.includes(id)).length;
  assert.ok(own(before, stale.id) > 0);
  // DEL answers before the link is gone.
  const after = await until('the stale one to be gone', async () => {
    const now = await remains();
    return own(now, stale.id) === 0 ? now : undefined;
  });
  assert.equal(own(after, living.id), own(before, living.id));
  assert.deepEqual(
    [...(await runtime<readonly string[]>('cached'))].sort(),
    [living.id, forgotten.id].sort(),
  );
  await inPod(living.netns, 'ping', '-n', '-c1', '-W1', CONFIG.gateways[0] ?? '');
  await runtime('check', living);
  assert.deepEqual(
    bed.cni
      .leases()
      .map(lease => lease.containerId)
      .sort(),
    [living.id, forgotten.id].sort(),
  );
});

test('the cached result is what CHECK and DEL are given, also after an agent’s restart', {
  skip,
}, async () => {
  configure(conflist());
  const pod = await newPod();
  const result = await runtime<CniResult>('add', pod);
  assert.deepEqual(await runtime('result', pod), result);
  await bed.restart();
  await runtime('check', pod);
  await runtime('del', pod);
  await untilNothingRemains();
  assert.equal(await runtime('result', pod), null);
  await assert.rejects(runtime('check', pod));
});

test('a binary that is replaced while runtimes execute it is never seen half written or busy', {
  skip,
}, async () => {
  configure(conflist());
  // The retry of libcni after "text file busy" fails itself ("exec: already started"), so there must be no such moment.
  const variants = ['a', 'b'].map(name => {
    const path = `/mnt/weft-cni-${name}`;
    copyFileSync(BINARY, path);
    // Behind the end of an ELF file: another file, the same program.
    appendFileSync(path, name);
    return path;
  });
  let running = true;
  let installed = 0;
  const installing = (async () => {
    for (; running; installed += 1) {
      const source = variants[installed % 2] as string;
      installBinary({ source, binDir: BIN, log: newLog().log });
      await sleep(1);
    }
  })();
  try {
    for (let n = 0; n < 12; n++) {
      const pod = await newPod();
      await runtime('add', pod);
      await runtime('del', pod);
    }
  } finally {
    running = false;
    await installing;
  }
  assert.ok(installed > 20, `${installed}`);
  await untilNothingRemains();
});

test('addresses, MAC, ports and limits by capabilities, and the pod by CNI_ARGS, as containerd gives them', {
  skip,
}, async () => {
  configure(conflist());
  const pod = await newPod();
  const caps = {
    ips: ['10.42.1.88', 'fd42:0:0:1::88'],
    mac: 'c2:b0:57:49:47:f1',
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }],
    bandwidth: {
      ingressRate: 8_000_000,
      ingressBurst: 1_000_000,
      egressRate: 8_000_000,
      egressBurst: 1_000_000,
    },
  };
  const args = [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', 'shop'],
    ['K8S_POD_NAME', 'cart'],
  ] as const;
  const result = await runtime<CniResult>('add', { ...pod, caps, args });
  assert.deepEqual(
    result.ips.map(one => one.address),
    ['10.42.1.88/32', 'fd42:0:0:1::88/128'],
  );
  assert.equal(result.interfaces.find(one => one.sandbox)?.mac, caps.mac);
  const [lease] = bed.cni.leases();
  assert.deepEqual(
    [lease?.pod?.namespace, lease?.pod?.name, lease?.ports?.[0]?.hostPort],
    ['shop', 'cart', 8080],
  );
  await runtime('check', { ...pod, caps, args });
  await runtime('del', { ...pod, caps, args });
  await untilNothingRemains();
});
