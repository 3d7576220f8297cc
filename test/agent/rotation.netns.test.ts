/** A node's key changed under traffic, and the change cut off at each of its steps. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STATUS_SOCKET } from '../../constants.ts';
import { generateKey } from '../../mesh/key.ts';
import { type Lab, type Member, NODES, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here } from '../lab/namespace.ts';
import { program } from '../lab/node.ts';
import { untilAnswers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { assertLossless } from '../lab/traffic.ts';
import { PATIENCE, until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let c: Member;
let pods: readonly [Pod, Pod, Pod];

before(async () => {
  lab = await startLab();
  [a, b, c] = (await Promise.all([1, 2, 3].map(n => lab.join(n)))) as [Member, Member, Member];
  await Promise.all([a, b, c].map(m => untilInstalled(m)));
  pods = (await Promise.all([a, b, c].map(m => addPod(m, `pod${m.number}`)))) as [Pod, Pod, Pod];
  await untilMeshed([a, b, c]);
});

after(async () => lab?.end());

const annotation = (m: Member, name: string): string =>
  lab.api.store.get(NODES, undefined, m.name).metadata.annotations?.[`weft.network/${name}`] ?? '';

const annotate = (m: Member, annotations: Readonly<Record<string, string>>): void => {
  lab.api.store.patch(NODES, undefined, m.name, { metadata: { annotations } }, 'main');
};

const shown = (m: Member): string => annotation(m, 'public-key');

const deviceKey = async (m: Member): Promise<string> =>
  (await m.namespace.run(['wg', 'show', 'weft-wg', 'public-key'])).trim();

const keyFile = (m: Member): string => join(lab.dir, m.name, 'state', 'key.json');

type KeyFile = { readonly publicKey: string; readonly privateKey: string; readonly next?: object };

const readKey = (m: Member): KeyFile => JSON.parse(readFileSync(keyFile(m), 'utf8')) as KeyFile;

let tokens = 0;
const newToken = (): string => {
  tokens += 1;
  return `token-${tokens}`;
};

const reached = (from: Pod, to: Pod): Promise<true> => untilAnswers(from, to.v4 ?? '', 30_000);

/** On the node's own socket, as root there. */
const post = (m: Member, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const socketPath = `/proc/${m.namespace.pid}/root${STATUS_SOCKET}`;
    const call = request({ socketPath, path, method: 'POST', timeout: 15_000 * PATIENCE }, response => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject);
    call.end();
  });

/** The old key is on no device, in no file, and the node and its peers are of one mind. */
async function settled(m: Member, old: string): Promise<void> {
  const now = await until('the new key on the device', async () => {
    const key = await deviceKey(m);
    return key !== old && key === shown(m) && key === readKey(m).publicKey ? key : undefined;
  });
  assert.equal(readKey(m).next, undefined);
  for (const peer of [a, b, c].filter(p => p !== m))
    await until(`${peer.name} to forget the old key`, async () => {
      const keys = await peer.namespace.run(['wg', 'show', 'weft-wg', 'peers']);
      return (keys.includes(now) && !keys.includes(old)) || undefined;
    });
}

test('no packet is lost while a node and then its peer change their keys', async () => {
  const before = [readKey(a), readKey(b)];
  const rotated = Promise.withResolvers<void>();
  await Promise.all([
    assertLossless(pods[1], pods[2], 5, () => rotated.promise),
    assertLossless(pods[0], pods[1], 5, async () => {
      await sleep(500);
      const command = ['rotate-key', a.name, b.name, '--kubeconfig', `${lab.dir}/kubeconfig`];
      await here([process.execPath, ...program(), ...command]);
    }).finally(rotated.resolve),
  ]);
  for (const [i, m] of [a, b].entries()) {
    const old = before[i] as KeyFile;
    await settled(m, old.publicKey);
    assert.ok(!readFileSync(keyFile(m), 'utf8').includes(old.privateKey));
  }
});

test('a restart does not change it again', async () => {
  const key = shown(a);
  await a.stop();
  a.start();
  await until('the agent', async () => (await a.status())?.ready || undefined);
  await sleep(1_000);
  assert.deepEqual([shown(a), await deviceKey(a)], [key, key]);
});

test('without the API server nothing begins; with it again, what was asked on the node is done', async () => {
  await until('quiet', async () => (await a.status())?.rotation.state === 'idle' || undefined);
  const old = readKey(a).publicKey;
  await assertLossless(pods[0], pods[1], 4, async () => {
    const before = shown(a);
    await lab.api.stop();
    try {
      await until('it to be missed', async () => (await a.status())?.api.connected === false || undefined);
      assert.equal(await post(a, '/rotate-key'), 202);
      await until('it to wait', async () => (await a.status())?.rotation.state === 'waiting' || undefined);
      assert.equal(await deviceKey(a), before);
    } finally {
      await lab.api.start();
    }
    await until('the new key', () => shown(a) !== before || undefined, 30_000, 20);
  });
  await settled(a, old);
});

test('a patch without answer: the old key comes back, and later the change is done', async () => {
  const old = shown(a);
  lab.api.order({ hang: true, only: { method: 'PATCH' } });
  try {
    assert.equal(await post(a, '/rotate-key'), 202);
    await until('the next key', async () => (await deviceKey(a)) !== old || undefined, 10_000, 20);
    await until('the old key again', async () => (await deviceKey(a)) === old || undefined, 10_000, 20);
    await Promise.all([reached(pods[0], pods[1]), reached(pods[2], pods[0])]);
    assert.equal(shown(a), old);
  } finally {
    lab.api.order({});
  }
  await until('the new key', () => shown(a) !== old || undefined, 40_000);
  await settled(a, old);
  await Promise.all([reached(pods[0], pods[1]), reached(pods[2], pods[0])]);
});

/** What a kill between two steps leaves behind: the next key on disk, and as far as the step got. */
async function cutOff(
  m: Member,
  onDevice: boolean,
): Promise<{ readonly old: string; readonly next: string }> {
  await m.stop('SIGKILL');
  const next = generateKey();
  const token = newToken();
  annotate(m, { 'weft.network/rotate-key': token });
  writeFileSync(keyFile(m), JSON.stringify({ ...readKey(m), next: { ...next, token } }));
  const set = 'umask 077; cat > /run/k; wg set weft-wg private-key /run/k; rm /run/k';
  if (onDevice) await m.namespace.run(['sh', '-c', set], { stdin: next.privateKey });
  return { old: readKey(m).publicKey, next: next.publicKey };
}

for (const step of ['written', 'set on the device', 'published'] as const)
  test(`killed when the next key is ${step}: the next agent goes on`, async () => {
    const { old, next } = await cutOff(b, step !== 'written');
    if (step === 'published') annotate(b, { 'weft.network/public-key': next });
    b.start();
    await until('the new key', async () =>
      shown(b) === next && (await deviceKey(b)) === next ? true : undefined,
    );
    await settled(b, old);
    await Promise.all([reached(pods[0], pods[1]), reached(pods[1], pods[2])]);
  });

test('killed when it is set and not published, and no API server: the old one comes back', async () => {
  const { old } = await cutOff(b, true);
  await lab.api.stop();
  b.start();
  await until('the old key', async () => ((await deviceKey(b)) === old ? true : undefined), 30_000);
  await Promise.all([reached(pods[0], pods[1]), reached(pods[1], pods[2])]);
});
