/** A node whose podCIDRs are small, used up or late, with the real agent: what it says, and to whom. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EVENTS } from '../apiserver/resources.ts';
import { type Lab, type Member, NODES, startLab, untilInstalled } from '../lab/lab.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, callPlugin, deletePod, NETWORK, type Pod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

type Status = {
  readonly ready: boolean;
  readonly cni: {
    readonly pools: readonly {
      readonly cidr: string;
      readonly family: number;
      readonly size: string;
      readonly used: number;
      readonly cooling: number;
      readonly free: string;
    }[];
    readonly otherConfigs: { readonly earlier: readonly string[]; readonly later: readonly string[] };
    readonly leftovers: readonly string[];
  };
};

let lab: Lab;
let node: Member;

before(async () => {
  lab = await startLab();
  node = await lab.joinWith(1, ['10.42.1.0/29', 'fd42:0:0:1::/120']);
  await untilInstalled(node);
});

after(async () => lab?.end());

const status = async (): Promise<Status> => {
  const got = await until('status', () => node.status());
  return got as unknown as Status;
};

const events = (reason: string): readonly string[] =>
  lab.api.store
    .list(EVENTS)
    .map(item => item as unknown as { reason: string; message: string; involvedObject: { name: string } })
    .filter(event => event.reason === reason && event.involvedObject.name === 'node1')
    .map(event => event.message);

const figures = async () =>
  (await status()).cni.pools.map(p => [p.cidr, p.family, p.size, p.used, p.cooling, p.free]);

test('a full range: figures by family, an error for the runtime, an Event on the Node; and it is over with a DEL', async () => {
  const pods: Pod[] = [];
  for (let n = 0; n < 5; n++) pods.push(await addPod(node, `p${n}`));
  assert.deepEqual(await figures(), [
    ['10.42.1.0/29', 4, '5', 5, 0, '0'],
    ['fd42:0:0:1::/120', 6, '254', 5, 0, '249'],
  ]);
  const words = /no address is free in podCIDR 10\.42\.1\.0\/29: 5 for pods, 5 held \(default\/p0, /;
  await assert.rejects(addPod(node, 'late'), words);
  await until('an Event', () => events('PodCidrFull').find(text => words.test(text)));
  assert.equal((await status()).ready, true, 'a full range is no reason to take the node out of service');
  await deletePod(node, pods.pop() as Pod);
  pods.push(await addPod(node, 'again'));
  for (const pod of pods) await deletePod(node, pod);
});

test('addresses go on cooling down while an agent is started again', async () => {
  await until('the DELs to end', async () => (await figures())[0]?.[4] === 5 || undefined);
  const [first, second] = [await addPod(node, 'first'), await addPod(node, 'second')];
  await deletePod(node, first);
  await node.stop('SIGKILL');
  node.start();
  await until('ready', async () => (await node.status())?.ready || undefined);
  assert.deepEqual((await figures())[0], ['10.42.1.0/29', 4, '5', 1, 4, '0']);
  const next = await addPod(node, 'next');
  assert.notEqual(next.v4, first.v4);
  for (const pod of [second, next]) await deletePod(node, pod);
});

test('ports that the node itself answers on are refused as hostPorts', async () => {
  for (const [hostPort, protocol, holder] of [
    [51820, 'udp', /51820\/udp of default\/greedy is the node's: WireGuard/],
    [51821, 'udp', /tunnels/],
    [9807, 'tcp', /health/],
  ] as const) {
    const config = {
      ...NETWORK,
      runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol }] },
    };
    const pod = { id: 'greedy', name: 'greedy', netns: '/run/netns/none' };
    const answer = callPlugin(node, 'ADD', pod, config);
    await assert.rejects(answer, (error: { stdout: string }) => {
      assert.match(error.stdout, holder);
      return JSON.parse(error.stdout).code === 103;
    });
  }
});

test('what other plugins left is in the status, and what is in weft’s way also an Event', async () => {
  for (const file of ['05-other.conflist', '99-late.conf']) writeFileSync(join(node.confDir, file), '{}');
  await until('leftovers', async () => (await status()).cni.leftovers.length === 1 || undefined);
  const { otherConfigs, leftovers } = (await status()).cni;
  assert.deepEqual(otherConfigs, { earlier: ['05-other.conflist'], later: ['99-late.conf'] });
  assert.match(leftovers[0] ?? '', /uses .*05-other\.conflist and not weft/);
  await until('Events', () => events('WeftTrouble').some(text => text.includes('05-other')) || undefined);
});

test('a Node that gets its podCIDRs late: its runtime finds no configuration before, and pods wait for nothing after', async () => {
  const late = await lab.joinWith(2, []);
  const parts = async () =>
    (await late.status()) as unknown as { parts: { part: string; reason?: string }[] };
  await until('the reason', async () => {
    const reason = (await parts())?.parts.find(({ part }) => part === 'pod network')?.reason;
    return /podCIDR/.test(reason ?? '') || undefined;
  });
  assert.deepEqual(readdirSync(late.confDir), []);
  lab.api.store.patch(
    NODES,
    undefined,
    late.name,
    { spec: { podCIDRs: ['10.42.2.0/24'], podCIDR: '10.42.2.0/24' } },
    'main',
  );
  await untilInstalled(late);
  const pod = await addPod(late, 'first');
  assert.match(pod.v4 ?? '', /^10\.42\.2\./);
  await deletePod(late, pod);
});
