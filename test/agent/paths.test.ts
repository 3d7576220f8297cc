/** Paths that lose packets in every way: only large ones that are lost beside small ones lower a route. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { openPaths } from '../../agent/paths.ts';
import { plan } from '../../mesh/plan.ts';
import type { Question } from '../../mesh/probe.ts';
import { newMeasure, type PeerMeasure, probed } from '../../mesh/state.ts';
import { openFake } from '../../platform/linux/fake.ts';
import type { Route } from '../../platform/linux/types.ts';
import type { Cidr, Endpoint } from '../../types.ts';
import { until } from '../lab/wait.ts';
import { facts, key, node } from '../mesh/facts.ts';

const NODES = [node(1), node(2)];
const log = pino({ level: 'silent' });

const HEADERS = 28;

/** `lets`: whether a packet of this size is answered; `knows`: the peer's agent answers questions of large size. */
function bed(lets: (size: number) => boolean) {
  let later = 0;
  let measure: PeerMeasure = {
    ...probed(newMeasure(0), 1, 0),
    endpoint: '192.0.2.2:51820' as Endpoint,
  };
  let asked = 0;
  let changes = 0;
  const paths = openPaths({
    kernel: openFake(),
    probes: {
      ask: async (_, { size = 0 }: Question = {}) => {
        asked += 1;
        return lets(size === 0 ? 0 : size + HEADERS) ? 1 : undefined;
      },
    },
    measures: () => new Map([['node2', measure]]),
    passes: async ({ size }) => lets(size),
    onChange: () => {
      changes += 1;
    },
    log,
    now: () => performance.now() + later,
  });
  const follow = async () => {
    await paths.limits(NODES, 1420);
    paths.follow(plan(facts(NODES)));
  };
  const limit = async () => (await paths.limits(NODES, 1420)).get(key(2));
  /** Time goes by, and so much is sent meanwhile. */
  const pass = (ms: number, bytes: number): void => {
    later += ms;
    measure = { ...measure, txBytes: measure.txBytes + bytes };
  };
  return { follow, limit, pass, stop: paths.stop, asked: () => asked, changes: () => changes };
}

type Bed = ReturnType<typeof bed>;

const judged = (one: Bed, questions: number): Promise<true> =>
  until('the test to end', () => one.asked() >= questions || undefined, 10_000);

test('routes that cannot be read keep nothing up, and are read again', async () => {
  const kernel = openFake();
  const left: Route = {
    kind: 'unicast',
    dst: '10.42.2.0/24' as Cidr,
    link: 'weft-wg',
    mtu: 1300,
  };
  let broken = true;
  const ours = async () => (broken ? Promise.reject(new Error('EINTR')) : [left]);
  const paths = openPaths({
    kernel: { ...kernel, routes: { ...kernel.routes, ours } },
    probes: { ask: async () => undefined },
    measures: () => new Map(),
    passes: async () => false,
    onChange: () => {},
    log,
  });
  assert.equal((await paths.limits(NODES, 1420)).size, 0);
  broken = false;
  assert.equal((await paths.limits(NODES, 1420)).get(key(2))?.mtu, 1300);
  paths.stop();
});

test('a black hole is measured', async () => {
  const one = bed(size => size <= 1350);
  await one.follow();
  const limit = await until('the limit', async () => {
    const found = await one.limit();
    return found !== undefined && found.mtu > 1280 ? found : undefined;
  });
  one.stop();
  assert.equal(limit.why, 'black hole');
  assert.ok(limit.mtu <= 1350 && limit.mtu >= 1342, `${limit.mtu}`);
  assert.equal(one.changes(), 2, 'the least at once, and then what was found');
});

for (const [what, lets, questions] of [
  ['a path that carries all', () => true, 1],
  ['a path that lost everything for a while', () => false, 7],
  ['a peer whose agent does not know the question', (size: number) => size === 0, 7],
] as const)
  test(`${what} is left as it is`, async () => {
    const one = bed(lets);
    await one.follow();
    await judged(one, questions);
    await new Promise(resolve => setTimeout(resolve, 50));
    one.stop();
    assert.equal(await one.limit(), undefined);
    assert.equal(one.changes(), 0);
  });

test('a path in use is tested again soon, an idle one is not', async () => {
  let small = Number.POSITIVE_INFINITY;
  const one = bed(size => size <= small);
  await one.follow();
  await judged(one, 1);
  one.pass(20_000, 5_000);
  await sleep(2_500);
  assert.equal(one.asked(), 1, 'little was sent');
  small = 1_300;
  one.pass(20_000, 6_000);
  await until(
    'the black hole to be known',
    async () => (await one.limit())?.why === 'black hole' || undefined,
  );
  one.stop();
});
