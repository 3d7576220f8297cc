/** Two nodes that move at the same moment, to addresses that only their agents know of: no packet of either finds the other. */
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, type Member, NODES, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { untilAnswers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { LAB } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let podA: Pod;
let podB: Pod;
let last = 210;

before(async () => {
  lab = await startLab();
  [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  // By IPv6, which does not move, they would go on.
  for (const m of [a, b])
    await m.namespace.run(['ip', '-6', 'address', 'flush', 'dev', 'eth0', 'scope', 'global']);
  await untilMeshed([a, b]);
});

after(async () => lab?.end());

/** The address of its Node object stays what it was, as a kubelet's does for a while. */
const move = (m: Member): Promise<string> => {
  last += 1;
  const script = `ip -4 address flush dev eth0; ip address add 192.0.2.${last}/24 dev eth0; ip route replace default via ${LAB.v4}`;
  return m.namespace.run(['sh', '-ec', script]);
};

const meet = async (withinMs: number): Promise<void> => {
  const began = performance.now();
  await Promise.all([
    untilAnswers(podA, podB.v4 ?? '', withinMs),
    untilAnswers(podB, podA.v6 ?? '', withinMs),
  ]);
  process.stdout.write(`they met after ${Math.round(performance.now() - began)} ms\n`);
};

/** The address in use is then not the Node's own, and published: one that was only learnt is kept while its handshake is fresh. */
const moved = async (): Promise<void> => {
  await move(b);
  await meet(15_000);
  const inUse = async () => (await a.status())?.peers[0]?.endpoint === `192.0.2.${last}:51820` || undefined;
  await until('the new address to be in use', inUse);
  const published = () =>
    lab.api.store.get(NODES, undefined, b.name).metadata.annotations?.['weft.network/endpoints'];
  await until('it to be published', () => published()?.includes(`.${last}:`) || undefined);
  await sleep(1_000);
};

test('both agents live: each goes where the other says that it is now', async () => {
  await moved();
  await Promise.all([move(a), move(b)]);
  await meet(10_000);
});

test('an agent that is started after both have moved knows what was in use before', async () => {
  await moved();
  await a.stop();
  await Promise.all([move(a), move(b)]);
  a.start();
  await until('the agent', async () => (await a.status())?.ready || undefined);
  await meet(10_000);
});
