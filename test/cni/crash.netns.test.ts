/** Agent or binary killed in the middle of anything: nothing is lost and nothing is doubled. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lease } from '../../cni/lease.ts';
import { LEASE_DIR } from '../../constants.ts';
import { type Lab, type Member, startLab, untilInstalled } from '../lab/lab.ts';
import { type Namespace, newPod, type RunError } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { type CniResult, callPlugin, NETWORK } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { disagreements, traces } from './leftovers.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let node: Member;
/** Making a namespace takes longer than an ADD, so they are made once and used again. */
let pods: readonly Namespace[];
let serial = 0;

before(async () => {
  lab = await startLab();
  node = await lab.join(1);
  await untilInstalled(node);
  pods = await Promise.all(Array.from({ length: 32 }, () => newPod(node.namespace)));
});

after(async () => lab?.end());

/** Fixed seed: the same delays each time. */
function newRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Target = { readonly id: string; readonly name: string; readonly netns: string };

const target = (pod: Namespace | undefined): Target => {
  serial += 1;
  const name = `pod-${serial}`;
  return { id: String(serial).padStart(64, 'c'), name, netns: pod?.netns ?? '' };
};

const add = async (t: Target): Promise<CniResult> => (await callPlugin(node, 'ADD', t, NETWORK)) as CniResult;
const del = (t: Target): Promise<unknown> => callPlugin(node, 'DEL', t, NETWORK);

const ready = (): Promise<true> =>
  until('the agent to be ready', async () => (await node.status())?.ready || undefined);

/** The agent is given a moment: what follows an answer, and its next look. */
async function agrees(leases?: number): Promise<void> {
  let last: readonly string[] = [];
  await until(
    'kernel and leases to agree',
    async () => {
      const now = await traces(node.namespace);
      last = [
        ...disagreements(now),
        ...(leases === undefined || now.leases.length === leases
          ? []
          : [`${now.leases.length} leases instead of ${leases}`]),
      ];
      return last.length === 0 || undefined;
    },
    20_000,
    200,
  ).catch(error => assert.fail(`${error.message}: ${last.join('; ')}`));
}

const answers = async (result: CniResult): Promise<void> => {
  for (const { address } of result.ips)
    await node.namespace.run(['ping', '-n', '-c', '1', '-W', '2', address.split('/')[0] as string]);
};

/** The binary alone, so that it can be killed. */
function startBinary(command: string, t: Target) {
  const child = node.namespace.start([`${node.binDir}/weft-cni`], {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: t.id,
      CNI_NETNS: t.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: node.binDir,
    },
    stdio: 'pipe',
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(JSON.stringify(NETWORK));
  child.stdout?.resume();
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
  return { child, ended };
}

test('32 ADDs at once give 32 addresses of each family, and 32 DELs leave nothing', async () => {
  const targets = pods.map(target);
  const results = await Promise.all(targets.map(add));
  const all = results.flatMap(result => result.ips.map(ip => ip.address));
  assert.equal(new Set(all).size, 64);
  await agrees(32);
  await Promise.all(results.slice(0, 4).map(answers));
  await Promise.all(targets.map(del));
  await agrees(0);
});

test('the binary, killed in the middle of ADD 40 times, leaves nothing once DEL came', async () => {
  const random = newRandom(1);
  for (let round = 0; round < 40; round += 1) {
    const t = target(pods[round % pods.length]);
    const { child, ended } = startBinary('ADD', t);
    await sleep(random() * 25);
    child.kill('SIGKILL');
    await ended;
    await del(t);
  }
  await agrees(0);
});

test('the binary, killed in the middle of DEL 20 times, leaves nothing once DEL came again', async () => {
  const random = newRandom(2);
  for (let round = 0; round < 20; round += 1) {
    const t = target(pods[round % pods.length]);
    await add(t);
    const { child, ended } = startBinary('DEL', t);
    await sleep(random() * 12);
    child.kill('SIGKILL');
    await ended;
    await del(t);
  }
  await agrees(0);
});

test('the agent, killed in the middle of ADD 8 times: living pods stay, DEL of the others leaves nothing', async () => {
  const random = newRandom(3);
  const living = target(pods[31]);
  const result = await add(living);
  for (let round = 0; round < 8; round += 1) {
    const three = [0, 1, 2].map(n => target(pods[(round * 3 + n) % 30]));
    const adds = Promise.allSettled(three.map(add));
    await sleep(random() * 40);
    await node.stop('SIGKILL');
    node.start();
    for (const [n, outcome] of (await adds).entries()) {
      if (outcome.status === 'fulfilled') await answers(outcome.value);
      await del(three[n] as Target);
    }
  }
  await ready();
  await agrees(1);
  await answers(result);
  await del(living);
  await agrees(0);
});

test('an agent killed in the middle of DEL keeps its promise when it is back', async () => {
  const random = newRandom(4);
  for (let round = 0; round < 4; round += 1) {
    const targets = [0, 1, 2, 3].map(n => target(pods[n]));
    await Promise.all(targets.map(add));
    const dels = Promise.all(targets.map(del));
    await sleep(random() * 15);
    await node.stop('SIGKILL');
    await dels;
    node.start();
    await ready();
    await agrees(0);
  }
});

test('DEL while the agent is away succeeds at once and is carried out when it is back', async () => {
  const [one, two] = [target(pods[0]), target(pods[1])];
  await add(one);
  const kept = await add(two);
  await node.stop();
  await del(one);
  await del(one);
  node.start();
  await ready();
  await agrees(1);
  await answers(kept);
  await del(two);
  await agrees(0);
});

test('a namespace that vanishes while the agent is away frees its addresses', async () => {
  const gone = await newPod(node.namespace);
  await add(target(gone));
  await node.stop('SIGKILL');
  await gone.end();
  node.start();
  await ready();
  await agrees(0);
});

test('43 DEL of a pod does not take the address that another one holds by now', async () => {
  const [first, second] = [target(pods[0]), target(pods[1])];
  await add(first);
  const result = await add(second);
  await agrees(2);
  await node.stop();
  const root = `/proc/${node.namespace.pid}/root${LEASE_DIR}`;
  const { leases } = await traces(node.namespace);
  const own = leases.find(lease => lease.containerId === first.id) as Lease;
  const theirs = leases.find(lease => lease.containerId === second.id) as Lease;
  writeFileSync(`${root}/${first.id}:eth0`, JSON.stringify({ ...own, ips: theirs.ips }));
  node.start();
  await ready();
  await del(first);
  // The damaged lease may have drawn the route to its own link; that went with it and is mended.
  await until('the other pod to answer', () =>
    answers(result).then(
      () => true,
      () => undefined,
    ),
  );
  const third = target(pods[2]);
  const fresh = (await add(third)).ips.map(ip => ip.address);
  for (const { address } of result.ips) assert.ok(!fresh.includes(address), address);
  await Promise.all([del(second), del(third)]);
  await agrees(0);
});

test('a pod whose lease was damaged keeps its address until it ends', async () => {
  const t = target(pods[0]);
  const result = await add(t);
  await node.stop();
  writeFileSync(`/proc/${node.namespace.pid}/root${LEASE_DIR}/${t.id}:eth0`, '{');
  node.start();
  await ready();
  const asked = result.ips[0]?.address.split('/')[0];
  const other = target(pods[1]);
  const refused = callPlugin(node, 'ADD', other, { ...NETWORK, runtimeConfig: { ips: [asked] } });
  await assert.rejects(refused, (error: RunError) => /held by a pod without lease on wv/.test(error.stdout));
  await del(t);
  await agrees(0);
});

test('elements that an agent did not live to remove are gone after the next look', async () => {
  const t = target(pods[0]);
  await add(t);
  await node.stop();
  const stray = '"wvdeadbeef000" . 02:00:00:00:00:09 . 10.42.1.99';
  await node.namespace.run(['nft', 'add', 'element', 'bridge', 'weft', 'pod4', `{ ${stray} }`]);
  const mine = (await traces(node.namespace)).leases[0] as Lease;
  const port = `"${mine.link}" . ${mine.podMac}`;
  await node.namespace.run(['nft', 'delete', 'element', 'bridge', 'weft', 'port', `{ ${port} }`]);
  node.start();
  await ready();
  await agrees(1);
  await del(t);
  await agrees(0);
});
