/** A look at all pods, and pods that come or go while it goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PORTS_TABLE } from '../../constants.ts';
import { type LinuxKernel, openKernel } from '../../platform/linux/kernel.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Call, callPod } from './bed.ts';
import { remains, untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

/** `limits` is the look at links that comes after the one at routes. */
type Look = 'ports' | 'limits' | 'routes';

/** Done once, at the next look of that kind; where it has to wait for the look, the look does not wait for it. */
let meanwhile: { readonly look: Look; readonly work: () => Promise<unknown> } | undefined;
let working: Promise<unknown> = Promise.resolve();
let atRoutes = false;

async function disturb(look: Look): Promise<void> {
  if (meanwhile?.look !== look) return;
  working = meanwhile.work();
  meanwhile = undefined;
  await Promise.race([working, sleep(500)]);
}

function disturbed(kernel: LinuxKernel): LinuxKernel {
  const { nft, links, routes } = kernel;
  return {
    ...kernel,
    nft: {
      ...nft,
      list: async (...args) => {
        if (args[1] === PORTS_TABLE) await disturb('ports');
        return nft.list(...args);
      },
    },
    links: {
      ...links,
      list: async () => {
        if (atRoutes) await disturb('limits');
        return links.list();
      },
    },
    routes: {
      ...routes,
      ours: async () => {
        atRoutes = true;
        const ours = await routes.ours();
        await disturb('routes');
        return ours;
      },
    },
  };
}

/** What an ADD waits for before its wire is opened. */
let guard: (() => Promise<void>) | undefined;
const beforeWire = async (): Promise<boolean> => {
  await guard?.();
  return true;
};

const bed = useBed({ start: () => [{ kernel: disturbed(openKernel()), beforeWire }] });

/** A sweep, during which `work` is done. */
async function sweepWhile<T>(look: Look, work: () => Promise<T>): Promise<T> {
  meanwhile = { look, work };
  atRoutes = false;
  await bed.cni.sweep();
  assert.equal(meanwhile, undefined, 'it did not look');
  return (await working) as T;
}

const withPort = (hostPort: number): Call => ({
  config: { runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } },
});

const LIMITED: Call = {
  config: { runtimeConfig: { bandwidth: { ingressRate: 40_000_000, egressRate: 8_000_000 } } },
};

const ports = (): Promise<string> =>
  here(['sh', '-c', `nft list table inet ${PORTS_TABLE} 2>/dev/null; true`]);

test('a port that is given while the table is compared, or removed, is there afterwards', async () => {
  const first = await addPod(withPort(8001));
  const second = await sweepWhile('ports', () => addPod(withPort(8002)));
  assert.match(await ports(), /tcp \. 8002 : 10\.42/);
  for (const pod of [first, second]) assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
  await sweepWhile('ports', () => addPod(withPort(8003)));
  assert.match(await ports(), /tcp \. 8003 : 10\.42/);
});

test('a port that is taken back while the table is compared leads nowhere afterwards', async () => {
  const [stays, goes] = [await addPod(withPort(8001)), await addPod(withPort(8002))];
  await sweepWhile('ports', () => callPod('DEL', goes));
  assert.match(await ports(), /8001/);
  assert.doesNotMatch(await ports(), /8002/);
  assert.equal((await callPod('CHECK', stays)).code, 0);
});

test('the link that limits a pod is no stray when the pod came during the look', async () => {
  await addPod(LIMITED);
  const pod = await sweepWhile('limits', () => addPod(LIMITED));
  assert.equal((await callPod('CHECK', pod)).code, 0);
});

test('a pod that goes by DEL during the look is no pod that went without, and leaves no pod without a lease', async () => {
  const pod = await addPod();
  const gone = async (): Promise<void> => {
    assert.equal((await callPod('DEL', pod)).code, 0);
    await untilNothingRemains();
  };
  await sweepWhile('routes', gone);
  assert.deepEqual(
    bed.lines.filter(({ message }) => /without/.test(message)),
    [],
  );
  assert.deepEqual(
    bed.cni.stats().pools.map(({ used }) => used),
    [0, 0],
  );
});

test('a pod that is half made when the look begins, and done when it ends, is not damaged', async () => {
  await addPod();
  const [half, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  guard = () => {
    half.resolve();
    return go.promise;
  };
  const adding = addPod();
  await half.promise;
  guard = undefined;
  await sweepWhile('routes', () => {
    go.resolve();
    return adding;
  });
  assert.deepEqual(
    bed.lines.filter(({ level }) => level !== 'info' && level !== 'debug'),
    [],
  );
});

test('a pod that comes by the name of one that goes during the look keeps what it was given', async () => {
  const old = await addPod();
  await here(['ip', 'route', 'del', `${old.v4}/32`]);
  const pod = await sweepWhile('routes', async () => {
    assert.equal((await callPod('DEL', old)).code, 0);
    return addPod({ id: old.id });
  });
  assert.equal((await callPod('CHECK', pod)).code, 0);
  assert.ok(!(await remains()).some(line => line.includes(old.v4)), 'the old address leads nowhere');
});
