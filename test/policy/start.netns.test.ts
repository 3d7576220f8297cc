/** Pods that send from their first moment on: no packet passes that a policy forbids. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import type { Member } from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, deletePod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { type PolicyLab, startPolicyLab } from './lab.ts';
import { buildProber } from './prober.ts';

await enterLab(import.meta.filename);

const PODS_STARTED = 200;
const AT_ONCE = 10;

let lab: PolicyLab;
let one: Member;
const program = buildProber();

before(async () => {
  // a, b of each namespace; the a's on node1, where the pods start.
  lab = await startPolicyLab(['a', 'b']);
  one = lab.nodes[0] as Member;
});
after(async () => lab?.end());

/** Sends its word to both addresses of a target from before it has a network. */
async function burst(
  namespace: Namespace,
  ips: readonly (string | undefined)[],
  word: string,
): Promise<() => Promise<void>> {
  const senders = ips.map(ip =>
    namespace.start([program, 'burst', ip ?? '', '80', '20', word], { stdio: 'pipe' }),
  );
  await Promise.all(senders.map(sender => once(sender.stdout as NonNullable<typeof sender.stdout>, 'data')));
  return async () => {
    const ended = senders.map(sender => once(sender, 'exit'));
    for (const sender of senders) sender.kill('SIGKILL');
    await Promise.all(ended);
  };
}

type Mode = 'shown before' | 'shown at once' | 'shown late';

/** One life of a pod; `allowed`: its packets are waited for. */
async function live(
  n: number,
  target: string,
  labels: Readonly<Record<string, string>>,
  mode: Mode,
  allowed: boolean,
) {
  const { store } = lab.lab.api;
  const name = `start-${n}`;
  const word = `${target}!${allowed ? 'may' : 'must-not'}!${n}`;
  const to = lab.pods().get(target);
  assert.ok(to !== undefined);
  const uid = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
  const show = (): void =>
    void store.create(PODS, 'x', {
      metadata: { name, labels, annotations: { 'kubernetes.io/config.hash': uid } },
      spec: { nodeName: 'node1', containers: [{ name: 'c', image: 'i' }] },
    });
  let end = async (): Promise<void> => {};
  if (mode === 'shown before') show();
  const adding = addPod(one, { name, namespace: 'x', uid }, async namespace => {
    end = await burst(namespace, [to.pod.v4, to.pod.v6], word);
  });
  if (mode === 'shown at once') show();
  if (mode === 'shown late') void sleep(60 + (n % 40)).then(show);
  const pod = await adding;
  store.patch(
    PODS,
    'x',
    name,
    { status: { phase: 'Running', podIPs: [{ ip: pod.v4 }, { ip: pod.v6 }] } },
    'status',
  );
  if (allowed) await until(`the words of ${name}`, () => has(word), 15_000, 20);
  else await sleep(80);
  await end();
  await deletePod(one, pod);
  store.remove(PODS, 'x', name);
}

const words = new Map<string, number>();

/** What the targets have heard so far. */
function collect(): void {
  for (const { prober } of lab.pods().values())
    for (const [word, count] of prober.heard()) words.set(word, (words.get(word) ?? 0) + count);
}

const has = (word: string): true | undefined => {
  collect();
  return words.has(word) || undefined;
};

const MODES: readonly Mode[] = ['shown before', 'shown at once', 'shown late'];

test(`${PODS_STARTED} pods that send from their first moment on`, async () => {
  const from = [{ namespaceSelector: {}, podSelector: { matchLabels: { role: 'friend' } } }];
  await lab.policies([
    // Who starts in x may send to y only, and friends alone may come to z.
    {
      metadata: { namespace: 'x', name: 'out' },
      spec: {
        podSelector: { matchExpressions: [{ key: 'role', operator: 'Exists' }] },
        policyTypes: ['Egress'],
        egress: [{ to: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }] }, { to: from }],
      },
    },
    {
      metadata: { namespace: 'x', name: 'hermits' },
      spec: { podSelector: { matchLabels: { hermit: 'yes' } }, policyTypes: ['Egress'], egress: [] },
    },
    {
      metadata: { namespace: 'z', name: 'in' },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from }] },
    },
    {
      metadata: { namespace: 'x', name: 'in' },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
    },
  ]);
  const kinds = [
    // Forbidden by its own egress, on the same node and across; by the target's ingress; and one that is allowed.
    ['z/a', { role: 'client' }, false],
    ['x/b', { role: 'client' }, false],
    ['z/b', { other: 'yes' }, false],
    ['y/b', { hermit: 'yes' }, false],
    ['y/a', { hermit: 'yes' }, false],
    ['y/a', { role: 'client' }, true],
    ['z/a', { role: 'friend' }, false],
  ] as const;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let n = next++; n < PODS_STARTED; n = next++) {
      const [target, labels, allowed] = kinds[n % kinds.length] as (typeof kinds)[number];
      await live(n, target, labels, MODES[Math.floor(n / kinds.length) % MODES.length] as Mode, allowed);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await sleep(200);
  collect();
  const passed = [...words.keys()].filter(word => word.includes('must-not'));
  assert.deepEqual(passed, [], 'packets of pods that must not send have come through');
  const heard = new Set([...words.keys()].filter(word => word.includes('!may!')));
  const may = Array.from({ length: PODS_STARTED }, (_, n) => kinds[n % kinds.length]?.[2]).filter(Boolean);
  assert.equal(heard.size, may.length);
});

test('a pod that the API does not show starts closed after a while, and opens when it is known', async () => {
  const { store } = lab.lab.api;
  for (const { metadata } of store.list(NETWORKPOLICIES))
    store.remove(NETWORKPOLICIES, String(metadata.namespace), String(metadata.name));
  await lab.policies([
    {
      metadata: { namespace: 'x', name: 'out' },
      spec: {
        podSelector: { matchLabels: { role: 'client' } },
        policyTypes: ['Egress'],
        egress: [{ to: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }] }],
      },
    },
  ]);
  collect();
  words.clear();
  const target = lab.pods().get('y/a');
  let end = async (): Promise<void> => {};
  const uid = '11111111-0000-4000-8000-000000000000';
  const begin = performance.now();
  const [pod, elsewhere] = await Promise.all([
    addPod(one, { name: 'unknown', namespace: 'x', uid }, async namespace => {
      end = await burst(namespace, [target?.pod.v4, target?.pod.v6], 'unknown');
    }),
    // No policy can be about it, so nobody waits.
    addPod(one, { name: 'elsewhere', namespace: 'y', uid: `${uid}1` }).then(made => {
      assert.ok(performance.now() - begin < 8_000);
      return made;
    }),
  ]);
  assert.ok(performance.now() - begin > 9_000, 'it was not waited for');
  await sleep(300);
  collect();
  assert.deepEqual([...words], []);
  store.create(PODS, 'x', {
    metadata: {
      name: 'unknown',
      labels: { role: 'client' },
      annotations: { 'kubernetes.io/config.hash': uid },
    },
    spec: { nodeName: 'node1', containers: [{ name: 'c', image: 'i' }] },
  });
  await until('its words', () => has('unknown'), 10_000, 20);
  await end();
  await deletePod(one, pod);
  await deletePod(one, elsewhere);
});
