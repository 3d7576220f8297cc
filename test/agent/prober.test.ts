/** When peers are asked, and what becomes of the answers. The clock is the test's. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { paceOf } from '../../agent/pace.ts';
import { type Change, startProber } from '../../agent/prober.ts';
import type { Heard, Question } from '../../mesh/probe.ts';
import { newMeasure, type PeerMeasure } from '../../mesh/state.ts';
import type { MeshPlan } from '../../mesh/types.ts';
import type { WgDevice } from '../../platform/linux/types.ts';

const planOf = (...nodes: number[]): MeshPlan =>
  ({
    self: { name: 'self', podCidrs: [], gateways: ['10.42.0.1'] },
    peers: nodes.map(n => ({
      node: `node${n}`,
      publicKey: `key${n}`,
      endpoints: [`192.0.2.${n}:51820`],
      allowedIps: [`10.42.${n}.0/24`],
      gateways: [`10.42.${n}.1`],
      keepalive: 25,
      path: { kind: 'direct' },
    })),
  }) as unknown as MeshPlan;

/** Who answers within 5 ms, and what; other probes are lost after 2 s. */
function bed(
  t: TestContext,
  answering: Set<string>,
  understood: (question: Question) => boolean = () => true,
) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let clock = 0;
  let rx = 0;
  let heard: Heard = () => {};
  const asked: { readonly at: number; readonly to: string; readonly question: Question }[] = [];
  const changes: Change[] = [];
  const later = <T>(ms: number, value: T): Promise<T> => new Promise(r => setTimeout(() => r(value), ms));
  const prober = startProber({
    open: onHeard => {
      heard = onHeard;
      return {
        listen: () => {},
        close: () => {},
        ask: (to, question = {}) => {
          asked.push({ at: clock, to, question });
          return answering.has(to) && understood(question) ? later(5, 5) : later(2_000, undefined);
        },
      };
    },
    dump: async () =>
      ({
        peers: [{ publicKey: 'key1', rxBytes: rx, txBytes: 0, latestHandshake: 1 }],
      }) as unknown as WgDevice,
    onChange: change => changes.push(change),
    now: () => clock,
    wall: () => clock,
  });
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 5) {
      clock += 5;
      t.mock.timers.tick(5);
      for (let n = 0; n < 4; n += 1) await Promise.resolve();
    }
  };
  t.after(() => prober.stop());
  return {
    prober,
    pass,
    asked,
    changes,
    heard: (...args: Parameters<Heard>) => heard(...args),
    receive: (bytes: number) => {
      rx += bytes;
    },
  };
}

test('a new peer is asked at once and again, then every five seconds', async t => {
  const { prober, pass, asked } = bed(t, new Set(['10.42.1.1']));
  prober.follow(planOf(1));
  await pass(21_000);
  const times = asked.map(a => a.at);
  assert.equal(times[0], 0);
  assert.ok((times[1] ?? 0) <= 250, times.join());
  const gaps = times.slice(2).map((at, i) => at - (times[i + 1] ?? 0));
  assert.ok(gaps.length >= 3 && gaps.every(gap => gap >= 4_900 && gap <= 5_100), times.join());
  assert.equal(prober.measures().get('node1')?.state, 'established');
});

test('a silent loss is seen within fifteen seconds, its end within three; both are told once', async t => {
  const answering = new Set(['10.42.1.1']);
  const { prober, pass, changes } = bed(t, answering);
  prober.follow(planOf(1));
  await pass(6_000);
  answering.clear();
  await pass(15_000);
  answering.add('10.42.1.1');
  await pass(3_000);
  assert.deepEqual(
    changes.map(c => c.after.state).filter(state => state !== 'pending'),
    ['established', 'retrying', 'established'],
  );
});

test('where other packets come anyway, probes are few', async t => {
  const { prober, pass, asked, receive } = bed(t, new Set(['10.42.1.1']));
  prober.follow(planOf(1));
  for (let i = 0; i < 12; i += 1) {
    await pass(5_000);
    receive(100_000);
  }
  assert.ok(asked.length >= 4 && asked.length <= 8, `${asked.length} probes in a minute`);
});

test('a question tells how long there was no answer, and one that is heard is remembered', async t => {
  const { prober, pass, asked, heard } = bed(t, new Set());
  prober.follow(planOf(1));
  await pass(1_000);
  assert.equal(asked[0]?.question.unansweredMs, Number.POSITIVE_INFINITY);
  heard('10.42.1.1', 7_000);
  heard('10.42.1.77', 1);
  assert.equal(prober.measures().get('node1')?.heard?.unansweredMs, 7_000);
});

test('a peer that leaves the plan is forgotten', async t => {
  const { prober, pass } = bed(t, new Set(['10.42.1.1']));
  prober.follow(planOf(1, 2));
  await pass(100);
  prober.follow(planOf(2));
  await pass(3_000);
  assert.deepEqual([...prober.measures().keys()], ['node2']);
});

test('a thousand peers together are asked no more than twenty times a second, and each in turn', async t => {
  const nodes = Array.from({ length: 1_000 }, (_, n) => n);
  const { prober, pass, asked } = bed(t, new Set(nodes.map(n => `10.42.${n}.1`)));
  prober.follow(planOf(...nodes));
  await pass(120_000);
  const most = Math.max(
    ...Array.from(
      { length: 118 },
      (_, s) => asked.filter(a => a.at >= s * 1_000 + 1_000 && a.at < s * 1_000 + 2_000).length,
    ),
  );
  assert.ok(most <= 21, `${most} in a second`);
  assert.equal(new Set(asked.map(a => a.to)).size, 1_000);
});

test('pace: doubt is quick, long absence slow, and many peers slower', () => {
  const m = (change: Partial<PeerMeasure>): PeerMeasure => ({ ...newMeasure(0), ...change });
  const well = m({ state: 'established', answers: 9 });
  assert.equal(paceOf(well, false, 3, 0), 5_000);
  assert.equal(paceOf(well, true, 3, 0), 30_000);
  assert.ok(paceOf(well, false, 1_000, 0) > 60_000);
  assert.equal(paceOf(m({ state: 'established', lost: 1 }), false, 3, 0), 1_000);
  assert.equal(paceOf(m({ state: 'failed', lost: 99 }), false, 3, 400_000), 5_000);
});

test('a thousand peers: one that goes silent is in doubt at once, though its last answer is a round old', async t => {
  const nodes = Array.from({ length: 1_000 }, (_, n) => n);
  const answering = new Set(nodes.map(n => `10.42.${n}.1`));
  const { prober, pass, asked, changes } = bed(t, answering);
  prober.follow(planOf(...nodes));
  await pass(70_000);
  answering.delete('10.42.7.1');
  const from = asked.length;
  await pass(100_000);
  const times = asked.slice(from).flatMap(a => (a.to === '10.42.7.1' ? [a.at] : []));
  const gaps = times.slice(1, 4).map((at, i) => at - (times[i] ?? 0));
  assert.ok(gaps.length === 3 && gaps.every(gap => gap < 5_000), times.join());
  assert.equal(changes.at(-1)?.peer.node, 'node7');
});

test('an agent of an earlier version, whose questions say nothing, is asked in its own words; its successor in ours', async t => {
  let earlier = true;
  const understood = ({ unansweredMs }: Question): boolean => !earlier || unansweredMs === undefined;
  const { prober, pass, asked, heard } = bed(t, new Set(['10.42.1.1']), understood);
  const said = (): readonly boolean[] => [
    ...new Set(asked.splice(0).map(a => a.question.unansweredMs !== undefined)),
  ];
  const state = (): unknown => prober.measures().get('node1')?.state;
  prober.follow(planOf(1));
  await pass(7_000);
  assert.deepEqual([said(), state()], [[true], 'pending']);
  heard('10.42.1.1', undefined);
  await pass(7_000);
  said();
  await pass(20_000);
  assert.deepEqual([said(), state()], [[false], 'established']);
  earlier = false;
  heard('10.42.1.1', 4_000);
  await pass(20_000);
  assert.deepEqual([said(), state()], [[true], 'established']);
  heard('10.42.1.1', undefined);
  await pass(20_000);
  assert.deepEqual(said(), [true], 'a ping of a person changes nothing');
});
