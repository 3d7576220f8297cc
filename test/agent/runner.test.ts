import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRunner, type Timers } from '../../agent/runner.ts';
import { openSweeping } from '../../agent/sweeping.ts';

/** A clock that goes on when it is told to, and work that takes what it is told. */
function newClock() {
  let now = 0;
  let worked = 0;
  let next: { readonly at: number; readonly run: () => void } | undefined;
  const timers: Timers = {
    now: () => now,
    set: (ms, run) => {
      const mine = { at: now + ms, run };
      next = mine;
      return () => {
        if (next === mine) next = undefined;
      };
    },
  };
  const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  return {
    clocks: { timers, worked: () => worked },
    work: (ms: number): void => {
      now += ms;
      worked += ms;
    },
    wait: (ms: number): void => {
      now += ms;
    },
    /** To the next timer; when it was due. */
    step: async (): Promise<number> => {
      const due = next;
      assert.ok(due);
      next = undefined;
      now = Math.max(now, due.at);
      const at = now;
      due.run();
      await turn();
      return at;
    },
  };
}

const options = { onError: () => {}, minMs: 30, maxMs: 30_000, retryMs: 500 };

test('a lone event goes at once', async () => {
  const clock = newClock();
  const work = async (): Promise<undefined> => clock.work(5) as undefined;
  const runner = startRunner({ ...options, ...clock.clocks, run: work });
  runner.mark();
  assert.equal(await clock.step(), 0);
  clock.wait(1_000);
  runner.mark();
  assert.equal(await clock.step(), 1_005);
});

test('who hurries waits for no pause, and where a run is under way for that one only', async () => {
  const clock = newClock();
  let runs = 0;
  let end = (): void => {};
  const run = async (): Promise<undefined> => {
    runs += 1;
    await new Promise<void>(resolve => {
      end = resolve;
    });
  };
  const over = async (): Promise<void> => {
    end();
    await new Promise(resolve => setImmediate(resolve));
  };
  const runner = startRunner({ ...options, ...clock.clocks, run });
  runner.hurry();
  runner.hurry();
  runner.mark();
  assert.equal(runs, 0, 'others may come in the same turn');
  assert.equal(await clock.step(), 0, 'at its end');
  assert.equal(runs, 1);
  runner.hurry();
  assert.equal(runs, 1);
  await over();
  assert.equal(await clock.step(), 0, 'not after minMs');
  assert.equal(runs, 2);
  await over();
  runner.mark();
  runner.hurry();
  assert.equal(await clock.step(), 0, 'nor where there was a mark before');
  assert.equal(runs, 3);
  await over();
  assert.equal(await clock.step(), options.maxMs, 'the mark was seen by that run');
});

test('a burst goes through at once; then runs that keep the processor busy have a fifth of it', async () => {
  const clock = newClock();
  const run = async (): Promise<undefined> => {
    clock.work(100);
    runner.mark();
  };
  const runner = startRunner({ ...options, ...clock.clocks, run });
  runner.mark();
  const starts: number[] = [];
  for (let n = 0; n < 40; n += 1) starts.push(await clock.step());
  assert.deepEqual(starts.slice(0, 3), [0, 100, 200]);
  const pauses = starts.slice(10).map((at, n) => at - (starts[n + 9] ?? 0));
  assert.ok(
    pauses.every(pause => pause === 500),
    pauses.join(),
  );
});

test('after a run of many seconds the rest is two seconds, not half a minute', async () => {
  const clock = newClock();
  const run = async (): Promise<undefined> => {
    clock.work(6_000);
    runner.mark();
  };
  const runner = startRunner({ ...options, ...clock.clocks, run });
  runner.mark();
  assert.deepEqual([await clock.step(), await clock.step(), await clock.step()], [0, 8_000, 16_000]);
});

test('a run that only waits needs no rest beyond the least distance', async () => {
  const clock = newClock();
  const run = async (): Promise<undefined> => {
    clock.wait(100);
    runner.mark();
  };
  const runner = startRunner({ ...options, ...clock.clocks, run });
  runner.mark();
  assert.deepEqual([await clock.step(), await clock.step()], [0, 100]);
});

test('pods are looked at after news, where other things are wanted, after a failure, and in any case after a while', async () => {
  let now = 0;
  let looks = 0;
  let fails = false;
  const sweep = async (): Promise<void> => {
    looks += 1;
    if (fails) throw new Error('no');
  };
  const sweeping = openSweeping(sweep, 1_000, () => now);
  const run = async (wanted = 'a'): Promise<number> => {
    await sweeping.run(wanted).catch(() => {});
    return looks;
  };
  assert.equal(await run(), 1);
  assert.equal(await run(), 1);
  sweeping.mark('wires');
  assert.equal(await run(), 2);
  assert.equal(await run('b'), 3);
  fails = true;
  sweeping.mark('wires');
  assert.equal(await run('b'), 4);
  fails = false;
  assert.equal(await run('b'), 5);
  assert.equal(await run('b'), 5);
  now = 1_000;
  assert.equal(await run('b'), 6);
});

test('news that come during a look are of the next one', async () => {
  let looks = 0;
  const sweeping = openSweeping(
    async () => {
      looks += 1;
      if (looks === 1) sweeping.mark('wires');
    },
    1_000,
    () => 0,
  );
  for (let n = 0; n < 3; n += 1) await sweeping.run('');
  assert.equal(looks, 2);
});

test('tables are read at first, after news of them, where pods shall be otherwise, again after a failure, and now and then', async () => {
  let now = 0;
  const asked: boolean[] = [];
  const sweeping = openSweeping(
    async tables => {
      asked.push(tables);
      if (asked.length === 5) throw new Error('no');
    },
    1_000,
    () => now,
  );
  const run = (wanted = 'a'): Promise<void> => sweeping.run(wanted).catch(() => {});
  await run();
  sweeping.mark('wires');
  await run();
  sweeping.mark('tables');
  await run();
  await run('b');
  sweeping.mark('tables');
  await run('b');
  await run('b');
  sweeping.mark('wires');
  await run('b');
  now = 1_000;
  await run('b');
  assert.deepEqual(asked, [true, false, true, true, true, true, false, true]);
});
