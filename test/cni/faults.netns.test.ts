/** Each step of ADD and DEL fails in turn: nothing is left, and the next call succeeds. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { RUN_DIR } from '../../constants.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { type LinuxKernel, openKernel } from '../../platform/linux/kernel.ts';
import type { Rtnl } from '../../platform/linux/rtnl.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Call, call, callPod, clean, inPod, newId, newNetns } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

/** Everything that a pod can have. */
const ALL: Call = {
  config: {
    runtimeConfig: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 40_000_000, egressRate: 8_000_000 },
    },
  },
};

type Fuse = { left: number; blown: string | undefined };

/** The real kernel, but the call of that number fails, once. */
function fused(kernel: LinuxKernel, fuse: Fuse): LinuxKernel {
  const guard =
    <A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> => {
      fuse.left -= 1;
      if (fuse.left !== 0) return call(...args);
      fuse.blown = `${name} ${typeof args[0] === 'string' ? args[0] : ''}`;
      return Promise.reject(new LinuxError('ENOBUFS', `${fuse.blown}: ENOBUFS`));
    };
  const { links, nft } = kernel;
  const guarded = (name: string, rt: Rtnl): Rtnl => ({
    ...rt,
    change: guard(`${name} change`, rt.change),
    get: guard(`${name} get`, rt.get),
    dump: guard(`${name} dump`, rt.dump),
  });
  return {
    ...kernel,
    rt: guarded('own', kernel.rt),
    gather: () => {
      const to = kernel.gather();
      return {
        ...to,
        pod: guarded('pod', to.pod),
        host: guarded('host', to.host),
        sysctl: guard('sysctl', to.sysctl),
        until: guard('until', to.until),
      };
    },
    links: {
      ...links,
      get: guard('links.get', (name: string) => links.get(name)),
      remove: guard('links.remove', (name: string) => links.remove(name)),
    },
    nft: {
      ...nft,
      elements: guard('elements', (...args: Parameters<typeof nft.elements>) => nft.elements(...args)),
      apply: guard('apply', (text: string) => nft.apply(text)),
    },
  };
}

const fuse: Fuse = { left: 0, blown: undefined };

const bed = useBed({ each: false, start: () => [{ kernel: fused(openKernel(), fuse) }] });

const used = (): number[] => bed.cni.stats().pools.map(pool => pool.used);

const leftovers = async (): Promise<string> =>
  (
    await here([
      'sh',
      '-c',
      'ip -o link | grep -E "w[vb][0-9a-f]{11}"; nft list table inet weft-ports 2>/dev/null | grep 8080; true',
    ])
  ).trim();

test('ADD that fails at any step of the node leaves nothing and can be done again', async () => {
  let failures = 0;
  for (let step = 1; ; step += 1) {
    const options = { id: newId(), netns: await newNetns(), ...ALL };
    Object.assign(fuse, { left: step, blown: undefined });
    const answer = await call('ADD', options);
    const blown = fuse.blown;
    fuse.left = 0;
    if (blown === undefined) {
      assert.equal(answer.code, 0, answer.stdout);
      assert.equal((await call('DEL', options)).code, 0);
      break;
    }
    if (answer.code !== 0) {
      failures += 1;
      assert.ok(answer.json?.msg, blown);
      assert.deepEqual(await remains(), [], `${step}: ${blown}`);
      assert.equal(await leftovers(), '', `${step}: ${blown}`);
      assert.deepEqual(used(), [0, 0], blown);
      assert.doesNotMatch(await inPod(options.netns, 'ip', 'link'), /eth0/);
      assert.equal((await call('ADD', options)).code, 0, `again after ${blown}`);
    }
    assert.equal((await call('DEL', options)).code, 0);
    await untilNothingRemains();
    assert.ok(step < 100);
  }
  assert.ok(failures >= 10, `${failures} steps could fail`);
});

test('DEL that fails at any step says so, and the next one succeeds', async () => {
  let steps = 0;
  for (let step = 1; ; step += 1) {
    const pod = await addPod(ALL);
    Object.assign(fuse, { left: step, blown: undefined });
    await callPod('DEL', pod);
    // What follows the answer may be hit as well.
    await new Promise(resolve => setTimeout(resolve, 60));
    const blown = fuse.blown;
    fuse.left = 0;
    assert.equal((await callPod('DEL', pod)).code, 0, blown);
    await bed.cni.sweep();
    await untilNothingRemains();
    assert.equal(await leftovers(), '', `${step}: ${blown}`);
    assert.deepEqual(used(), [0, 0], blown);
    if (blown === undefined) break;
    steps += 1;
    assert.ok(step < 100);
  }
  assert.ok(steps >= 3, `${steps} steps could fail`);
});

test('a full tmpfs: ADD is an error that says so and leaves nothing, DEL succeeds', async () => {
  const pod = await addPod();
  const filler = `${RUN_DIR}/filler`;
  await here(['mount', '-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', '/mnt']);
  await here(['cp', '-a', `${RUN_DIR}/.`, '/mnt/']);
  await bed.stop();
  await here(['mount', '--move', '/mnt', RUN_DIR]);
  try {
    await bed.start({ kernel: fused(openKernel(), fuse) });
    await here(['sh', '-c', `dd if=/dev/zero of=${filler} bs=4k 2>/dev/null; true`]);
    assert.throws(() => writeFileSync(`${RUN_DIR}/probe`, 'x'.repeat(5000)), /ENOSPC/);
    const answer = await call('ADD', { id: newId(), netns: await newNetns() });
    assert.equal(answer.json?.code, 5, answer.stdout);
    assert.match(`${answer.json?.msg} ${answer.json?.details}`, /lease.*ENOSPC/);
    assert.deepEqual(used(), [1, 1]);
    assert.equal((await callPod('DEL', pod)).code, 0);
    await untilNothingRemains();
  } finally {
    await bed.stop();
    await here(['umount', RUN_DIR]);
  }
  assert.ok(existsSync(RUN_DIR));
  await clean();
  await bed.start({ kernel: fused(openKernel(), fuse) });
});
