import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AgentRef, Agents } from '../../command/agents.ts';
import { openCollector } from '../../dashboard/collect.ts';
import { parseStatus } from '../../dashboard/report.ts';
import { until } from '../lab/wait.ts';
import { sample } from './sample.ts';

const ref = (node: string, absent?: string): AgentRef => ({ node, pod: `weft-${node}`, absent });

/** Agents that answer as they are told; `opened` and `most` tell how they were asked. */
function fake(answers: () => Readonly<Record<string, unknown>>) {
  const seen = { opened: 0, closed: 0, now: 0, most: 0 };
  const open = async (): Promise<Agents> => {
    seen.opened += 1;
    return {
      kind: 'remote',
      list: async () =>
        Object.entries(answers()).map(([node, a]) => ref(node, typeof a === 'string' ? a : undefined)),
      get: async node => {
        seen.now += 1;
        seen.most = Math.max(seen.most, seen.now);
        await new Promise(resolve => setTimeout(resolve, 1));
        seen.now -= 1;
        const answer = answers()[node];
        if (answer instanceof Error) throw answer;
        return answer;
      },
      close: () => {
        seen.closed += 1;
      },
    };
  };
  return { seen, open };
}

const status = (node: number, location = 'home', peers: readonly string[] = []): unknown => {
  const whole = sample(3, [location])[node - 1]?.status;
  const own = peers.map(name => ({ ...whole?.peers[0], node: name }));
  return { ...whole, location, peers: own };
};

describe('the collector', () => {
  test('asks everybody, so many at a time, and closes what it opened', async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`n${n}`, status(1)]));
    const { seen, open } = fake(() => many);
    const collector = openCollector({ open, pauseMs: 60_000, atOnce: 4 });
    const reports = await collector.reports();
    collector.stop();
    assert.equal(reports.length, 30);
    assert.ok(reports.every(r => r.location === 'home' && r.status !== undefined));
    assert.deepEqual([seen.most, seen.opened, seen.closed], [4, 1, 1]);
  });

  test('an agent that falls silent keeps its location and says why; others go on', async () => {
    let answers: Record<string, unknown> = { a: status(1), b: status(2) };
    const collector = openCollector({ ...fake(() => answers), pauseMs: 1, atOnce: 4 });
    await collector.reports();
    answers = { a: new Error('no answer within 20 s'), b: status(2), c: 'its pod is Pending' };
    const find = async (node: string) => (await collector.reports()).find(r => r.node === node);
    await until('the silence', async () => ((await find('a'))?.error ? true : undefined));
    assert.deepEqual(await find('a'), {
      node: 'a',
      location: 'home',
      status: undefined,
      error: 'no answer within 20 s',
    });
    assert.equal((await find('b'))?.error, undefined);
    assert.equal((await find('c'))?.error, 'its pod is Pending');
    collector.stop();
  });

  test('a node that others have as a peer, and that has no pod of an agent, is told', async () => {
    const { open } = fake(() => ({ a: status(1, 'home', ['b', 'c']), b: status(2, 'home', ['a']) }));
    const collector = openCollector({ open, pauseMs: 60_000, atOnce: 4 });
    const reports = await collector.reports();
    collector.stop();
    assert.deepEqual(
      reports.map(r => r.node),
      ['a', 'b', 'c'],
    );
    assert.match(reports[2]?.error ?? '', /there is no weft pod on it/);
  });

  test('a node whose pod vanishes keeps its location while others have it as a peer', async () => {
    const a = status(1, 'home', ['b']);
    let answers: Record<string, unknown> = { a, b: status(2, 'cellar', ['a']) };
    const { seen, open } = fake(() => answers);
    const collector = openCollector({ open, pauseMs: 1, atOnce: 4 });
    await collector.reports();
    answers = { a };
    const find = async () => (await collector.reports()).find(r => r.node === 'b');
    await until('the pod to go', async () => ((await find())?.error ? true : undefined));
    assert.equal((await find())?.location, 'cellar');
    const { closed } = seen;
    await until('two more rounds', () => (seen.closed > closed + 2 ? true : undefined));
    assert.equal((await find())?.location, 'cellar');
    collector.stop();
  });

  test('a node that is gone is forgotten', async () => {
    let answers: Record<string, unknown> = { a: status(1), b: status(2) };
    const collector = openCollector({ ...fake(() => answers), pauseMs: 1, atOnce: 4 });
    await collector.reports();
    answers = { a: status(1) };
    await until('b to go', async () => ((await collector.reports()).length === 1 ? true : undefined));
    collector.stop();
  });

  test('says why nobody can be asked, and recovers', async () => {
    let broken = true;
    const { open } = fake(() => ({ a: status(1) }));
    const collector = openCollector({
      open: () => (broken ? Promise.reject(new Error('connection refused')) : open()),
      pauseMs: 1,
      atOnce: 4,
    });
    await assert.rejects(collector.reports(), /connection refused/);
    broken = false;
    await until('recovery', () =>
      collector.reports().then(
        () => true,
        () => undefined,
      ),
    );
    collector.stop();
  });

  test('one node alone can be asked for', async () => {
    const { open } = fake(() => ({ a: status(1), b: status(2) }));
    const one = openCollector({ open, pauseMs: 60_000, atOnce: 4, only: 'b' });
    assert.deepEqual(
      (await one.reports()).map(r => r.node),
      ['b'],
    );
    one.stop();
    const none = openCollector({ open, pauseMs: 60_000, atOnce: 4, only: 'x' });
    await assert.rejects(none.reports(), /no weft agent on a node x/);
    none.stop();
  });
});

describe('an agent’s answer', () => {
  test('is taken where it is whole, and refused with what is missing', () => {
    assert.doesNotThrow(() => parseStatus(status(1)));
    assert.throws(() => parseStatus('x'), /not an object/);
    assert.throws(() => parseStatus({ ...(status(1) as object), pods: undefined }), /no list pods/);
    assert.throws(
      () => parseStatus({ ...(status(1) as object), peers: [{ node: 'a', state: 'odd' }] }),
      /no peers/,
    );
    assert.throws(() => parseStatus({ ...(status(1) as object), engine: null }), /names no engine/);
  });
});
