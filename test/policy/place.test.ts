/** Pods whose class was made before they came: nothing but their addresses is put into the kernel before ADD answers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { NodeFact } from '../../discovery/types.ts';
import type { Cidr, Ip } from '../../types.ts';
import { podObject, toPod } from './clusters.ts';
import { setUp, wired, withPolicy } from './rooms.ts';

const SELF = {
  name: 'node1',
  podCidrs: ['10.42.1.0/24' as Cidr],
  endpoints: [],
} as unknown as NodeFact;

const A = wired('a', '10.42.1.2');

const shown = (name: string, labels = {}) => ({
  pod: toPod(podObject('x', name, 'node1', [], labels)),
  runtimeUid: `x-${name}`,
});

const objects = { ...withPolicy, ownPods: [shown('a'), shown('b')] };

/** Pods a and b are awaited, and nothing is under way. */
async function awaiting(t: TestContext, slow?: () => Promise<void>) {
  const made = setUp(t, { objects, nodes: [SELF], ...(slow && { slow }) });
  await made.settled();
  return made;
}

test('a pod that is awaited is bound before any run, and a run follows in which it is no news', async t => {
  const { room, calls, rules, judged, set, settled } = await awaiting(t);
  const { runs } = room.report();
  set({ wired: [A] });
  assert.equal(await room.guard(A), true);
  assert.deepEqual([room.report().runs, room.report().dirty], [runs, true]);
  assert.equal(calls.at(-1), 'placed');
  assert.match(String(room.rules()?.ingress.get('10.42.1.2' as Ip)), /^in-/);
  const known = judged.length;
  await settled();
  assert.equal(room.report().runs, runs + 1);
  assert.match(String(rules()?.ingress.get('10.42.1.2' as Ip)), /^in-/);
  assert.ok(judged.length > known, 'connections of before are judged by it');
});

test('two at once are both bound', async t => {
  const { room, calls, set } = await awaiting(t);
  const b = wired('b', '10.42.1.3');
  set({ wired: [A, b] });
  assert.deepEqual(await Promise.all([room.guard(A), room.guard(b)]), [true, true]);
  assert.equal(calls.filter(how => how === 'placed').length, 2);
  assert.deepEqual([...(room.rules()?.ingress.keys() ?? [])], ['10.42.1.2', '10.42.1.3']);
});

test('what is newer than the class is compiled first: labels, policies', async t => {
  for (const change of [{ ownPods: [shown('a', { app: 'new' })] }, { policies: [...objects.policies] }]) {
    const { room, calls, set, rules } = await awaiting(t);
    const { runs } = room.report();
    set({ objects: { ...objects, ...change }, wired: [A] });
    assert.equal(await room.guard(A), true);
    assert.ok(room.report().runs > runs);
    assert.ok(!calls.includes('placed'), JSON.stringify(change));
    assert.match(String(rules()?.ingress.get('10.42.1.2' as Ip)), /^in-/);
  }
});

test('where the kernel refuses it the pod waits for a run, which reads the table first', async t => {
  const { room, calls, set, breakIt, rules } = await awaiting(t);
  set({ wired: [A] });
  breakIt(true);
  const guarded = room.guard(A);
  await new Promise(resolve => setTimeout(resolve, 20));
  breakIt(false);
  assert.equal(await guarded, true);
  assert.equal(calls.at(-1), 'whole');
  assert.match(String(rules()?.ingress.get('10.42.1.2' as Ip)), /^in-/);
});

test('while a run changes the kernel the pod waits for its end, and is bound then', async t => {
  let go = (): void => {};
  let slow: Promise<void> | undefined;
  const { room, calls, set, change } = await awaiting(t, async () => slow);
  slow = new Promise(resolve => {
    go = resolve;
  });
  const changed = change({ wired: [wired('b', '10.42.1.3')] });
  await new Promise(resolve => setTimeout(resolve, 30));
  set({ wired: [wired('b', '10.42.1.3'), A] });
  let done = false;
  const guarded = room.guard(A).then(answer => {
    done = true;
    return answer;
  });
  await new Promise(resolve => setTimeout(resolve, 30));
  assert.equal(done, false);
  slow = undefined;
  go();
  assert.equal(await guarded, true);
  assert.deepEqual(calls.slice(-2), ['elements', 'placed']);
  await changed;
});
