/** The loop of policies over an applier that only remembers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Wired } from '../../policy/wired.ts';
import type { Ip } from '../../types.ts';
import { until } from '../discovery/helpers.ts';
import { podObject, toPod, toPolicy } from './clusters.ts';
import { NOTHING, setUp, wired, withPolicy } from './rooms.ts';

test('news of the table, where none is wanted, is looked at once and not again and again', async t => {
  const { room, calls, settled, change } = setUp(t, { objects: withPolicy });
  await settled();
  room.suspect();
  await change({ objects: NOTHING });
  await new Promise(resolve => setTimeout(resolve, 900));
  assert.ok(calls.filter(how => how === 'removed').length <= 2, calls.join(' '));
  assert.ok(room.report().runs <= 5, `${room.report().runs} runs`);
});

test('without a policy there is no table, and no pod waits for anything', async t => {
  const { room, calls, settled } = setUp(t);
  await settled();
  assert.deepEqual(calls, ['removed']);
  const { runs } = room.report();
  await room.guard(wired('a', '10.42.1.2'));
  await room.admit(wired('a', '10.42.1.2'));
  assert.equal(room.report().runs, runs);
});

test('the first policy makes the table, further changes are differences, the last one takes it away', async t => {
  const { calls, settled, change, rules } = setUp(t);
  await settled();
  await change({ objects: withPolicy });
  await change({ wired: [wired('a', '10.42.1.2')] });
  assert.deepEqual(calls, ['removed', 'whole', 'elements']);
  assert.ok(rules()?.ingress.has('10.42.1.2' as Ip));
  await change({ objects: NOTHING });
  assert.equal(calls.at(-1), 'removed');
});

test('a pod is guarded by its class when it is known, and closed when it is not', async t => {
  const { room, change, rules } = setUp(t);
  await change({ objects: withPolicy, wired: [wired('a', '10.42.1.2'), wired('b', '10.42.1.3')] });
  await Promise.all([room.guard(wired('a', '10.42.1.2')), room.guard(wired('b', '10.42.1.3'))]);
  assert.match(String(rules()?.ingress.get('10.42.1.2' as Ip)), /^in-/);
  assert.equal(rules()?.ingress.get('10.42.1.3' as Ip), 'pending');
  assert.deepEqual(room.report().pending, ['10.42.1.3']);
  let admitted = false;
  const waiting = room.admit(wired('b', '10.42.1.3')).then(() => {
    admitted = true;
  });
  await change({});
  assert.equal(admitted, false);
  const shown = { pod: toPod(podObject('x', 'b', 'node1', [])), runtimeUid: 'x-b' };
  await change({ objects: { ...withPolicy, ownPods: [...withPolicy.ownPods, shown] } });
  await waiting;
});

const POLICY_OF_B = toPolicy({
  metadata: { namespace: 'x', name: 'of-b' },
  spec: { podSelector: { matchLabels: { app: 'b' } }, policyTypes: ['Ingress'], ingress: [] },
});

const labelled = (name: string) => ({
  pod: toPod(podObject('x', name, 'node1', [], { app: name })),
  runtimeUid: `x-${name}`,
});

test('a pod that no policy selects waits for nothing, and the others learn of it afterwards', async t => {
  const { room, change, settled } = setUp(t);
  const objects = { ...withPolicy, policies: [POLICY_OF_B], ownPods: [labelled('a'), labelled('b')] };
  await change({ objects });
  const { runs } = room.report();
  assert.equal(await room.guard(wired('a', '10.42.1.2')), true);
  assert.deepEqual([room.report().runs, room.report().dirty], [runs, true]);
  await settled();
  assert.equal(room.report().runs, runs + 1);
});

test('a pod that is not shown waits for nothing where its namespace has no policy, and is waited for where it has one', async t => {
  const { room, change } = setUp(t);
  await change({ objects: { ...withPolicy, ownPods: [] } });
  const { runs } = room.report();
  const elsewhere = { ...wired('a', '10.42.1.2'), pod: { namespace: 'y', name: 'a', uid: 'y-a' } };
  assert.equal(await room.guard(elsewhere), true);
  assert.equal(room.report().runs, runs);
  await change({ wired: [wired('a', '10.42.1.3')] });
  assert.equal(await room.guard(wired('a', '10.42.1.3')), false);
});

test('a pod that no policy selects is still waited for where the one before it on its address was isolated', async t => {
  const { room, change, set, rules } = setUp(t);
  const objects = { ...withPolicy, policies: [POLICY_OF_B], ownPods: [labelled('a'), labelled('b')] };
  await change({ objects, wired: [wired('b', '10.42.1.2')] });
  assert.ok(rules()?.ingress.has('10.42.1.2' as Ip));
  const { runs } = room.report();
  // Nobody has told the room yet that its lease is gone.
  set({ wired: [wired('a', '10.42.1.2')] });
  assert.equal(await room.guard(wired('a', '10.42.1.2')), true);
  assert.equal(room.report().runs, runs + 1);
  assert.equal(rules()?.ingress.has('10.42.1.2' as Ip), false);
});

test('while nothing is known the table of before is left alone, and who comes now is closed', async t => {
  const { room, calls, settled, change, rules } = setUp(t, { known: false });
  await change({ wired: [wired('old', '10.42.1.2')] });
  await settled();
  assert.deepEqual(calls, []);
  await change({ wired: [wired('old', '10.42.1.2'), wired('new', '10.42.1.3')] });
  await room.guard(wired('new', '10.42.1.3'));
  assert.deepEqual(calls, ['text']);
  assert.deepEqual([...(rules()?.ingress ?? [])], [['10.42.1.3', 'pending']]);
  await change({ known: true, objects: withPolicy });
  assert.equal(calls.at(-1), 'whole');
});

test('what fails is tried again from a look at the kernel, and said', async t => {
  const { room, calls, change, log, settled, breakIt } = setUp(t);
  await settled();
  await change({ objects: withPolicy });
  breakIt(true);
  room.mark();
  const next = { ...withPolicy, ownPods: [] };
  void change({ objects: next, wired: [wired('a', '10.42.1.2')] }).catch(() => {});
  await until(() => room.report().error !== undefined, 'the error');
  assert.match(room.report().error ?? '', /the kernel says no/);
  assert.ok(room.report().dirty);
  breakIt(false);
  await settled();
  assert.equal(calls.at(-1), 'whole');
  assert.equal(room.report().error, undefined);
  assert.ok(log.lines.some(line => line.level === 'error'));
});

test('news of the table while nothing is known is looked at once and not again and again', async t => {
  const { room, calls, change } = setUp(t, { known: false });
  await change({ wired: [wired('new', '10.42.1.3')] });
  await room.guard(wired('new', '10.42.1.3'));
  room.suspect();
  await new Promise(resolve => setTimeout(resolve, 300));
  const holds = calls.filter(how => how === 'text').length;
  assert.ok(holds <= 4, `${holds} times`);
});

test('what of a policy is not understood is said, once', async t => {
  const { change, log } = setUp(t);
  const bad = toPolicy({
    metadata: { namespace: 'x', name: 'bad' },
    spec: {
      podSelector: {},
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ ipBlock: { cidr: 'nowhere' } }] }],
    },
  });
  const objects = { ...withPolicy, policies: [bad] };
  await change({ objects });
  await change({ wired: [wired('a', '10.42.1.2')] });
  const said = log.lines.filter(line => line.message.includes('NetworkPolicy x/bad'));
  assert.equal(said.length, 1);
  assert.match(said[0]?.message ?? '', /nowhere/);
});

test('while nothing is known a pod is closed by all of its addresses', async t => {
  const { room, change, rules } = setUp(t, { known: false });
  const dual: Wired = { ...wired('new', '10.42.1.3'), ips: ['10.42.1.3' as Ip, 'fd42:0:0:1::3' as Ip] };
  await change({ wired: [dual] });
  await room.guard(dual);
  for (const map of [rules()?.ingress, rules()?.egress])
    assert.deepEqual(
      map,
      new Map([
        ['10.42.1.3', 'pending'],
        ['fd42:0:0:1::3', 'pending'],
      ]),
    );
});

test('pods that were there before a first policy are not closed while it waits to be known', async t => {
  const { room, calls, judged, change, rules } = setUp(t, { objects: withPolicy });
  await change({ wired: [wired('a', '10.42.1.2')] });
  await room.guard(wired('a', '10.42.1.2'));
  await change({ objects: NOTHING });
  await change({ known: false, objects: withPolicy });
  const before = [...calls];
  const marks = judged.length;
  await change({ wired: [wired('a', '10.42.1.2'), wired('new', '10.42.1.3')] });
  assert.deepEqual(calls, before, 'nobody has come by way of ADD');
  await room.guard(wired('new', '10.42.1.3'));
  assert.deepEqual([...(rules()?.ingress.keys() ?? [])], ['10.42.1.3']);
  assert.equal(judged.length, marks, 'closing pods cuts no connections');
});

test('what is closed while nothing is known is closed again after it was known', async t => {
  const { room, change, rules } = setUp(t, { known: false });
  await change({ wired: [wired('a', '10.42.1.2')] });
  await room.guard(wired('a', '10.42.1.2'));
  await change({ known: true, wired: [] });
  await change({ known: false, wired: [wired('a', '10.42.1.2')] });
  await room.guard(wired('a', '10.42.1.2'));
  assert.equal(rules()?.ingress.get('10.42.1.2' as Ip), 'pending');
});

test('connections are judged at a start too, and not before the API server has told all', async t => {
  const { judged, settled, change } = setUp(t, { objects: withPolicy, synced: false });
  await settled();
  assert.equal(judged.length, 0);
  await change({ synced: true });
  assert.equal(judged.length, 1);
});
