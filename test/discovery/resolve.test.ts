import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startResolver } from '../../discovery/resolve.ts';
import { memoryLog } from './helpers.ts';
import { manualClock } from './manual-clock.ts';

function setUp(t: TestContext) {
  const clock = manualClock();
  const zone = new Map<string, string[] | 'hang'>();
  const asked: string[] = [];
  let changes = 0;
  let open = 0;
  let most = 0;
  const log = memoryLog();
  const lookup = async (host: string): Promise<readonly string[]> => {
    asked.push(host);
    open += 1;
    most = Math.max(most, open);
    try {
      const found = zone.get(host);
      if (found === 'hang') return await new Promise<never>(() => {});
      await Promise.resolve();
      if (found === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`);
      return found;
    } finally {
      open -= 1;
    }
  };
  const onChange = (): void => {
    changes += 1;
  };
  const resolver = startResolver({ lookup, onChange, log, clock });
  t.after(() => resolver.close());
  return { clock, zone, asked, log, resolver, changes: () => changes, most: () => most };
}

test('literal addresses pass through at once and are never asked for', t => {
  const { resolver, asked, changes } = setUp(t);
  resolver.want(['203.0.113.7', '2001:db8::1']);
  assert.deepEqual(
    [...resolver.resolved()],
    [
      ['203.0.113.7', ['203.0.113.7']],
      ['2001:db8::1', ['2001:db8::1']],
    ],
  );
  resolver.want(['203.0.113.7', '2001:db8::1']);
  assert.equal(changes(), 1);
  assert.deepEqual(asked, []);
});

test('a name is resolved at once, sorted, and again each minute; only a change is told', async t => {
  const { resolver, zone, clock, asked, changes } = setUp(t);
  zone.set('x.example', ['2001:db8::1', '203.0.113.9', '203.0.113.7', '203.0.113.7', 'junk']);
  resolver.want(['x.example']);
  await clock.advance(10);
  assert.deepEqual(resolver.resolved().get('x.example'), ['203.0.113.7', '203.0.113.9', '2001:db8::1']);
  await clock.advance(130_000);
  assert.equal(asked.length, 3);
  assert.equal(changes(), 1);
  zone.set('x.example', ['203.0.113.8']);
  await clock.advance(61_000);
  assert.deepEqual(resolver.resolved().get('x.example'), ['203.0.113.8']);
  assert.equal(changes(), 2);
});

test('a bad name touches no other, is said once, and works when it resolves at last', async t => {
  const { resolver, zone, clock, log } = setUp(t);
  zone.set('good.example', ['203.0.113.7']);
  resolver.want(['bad.example', 'good.example']);
  await clock.advance(20_000);
  assert.deepEqual([...resolver.resolved().keys()], ['good.example']);
  assert.equal(log.lines.filter(l => l.level === 'warn').length, 1);
  assert.match(
    log.lines[0]?.message ?? '',
    /bad\.example of a force-endpoint does not resolve; its node is without endpoint/,
  );
  zone.set('bad.example', ['203.0.113.8']);
  await clock.advance(60_000);
  assert.deepEqual(resolver.resolved().get('bad.example'), ['203.0.113.8']);
});

test('a name that fails keeps the addresses that it had', async t => {
  const { resolver, zone, clock } = setUp(t);
  zone.set('x.example', ['203.0.113.7']);
  resolver.want(['x.example']);
  await clock.advance(10);
  zone.delete('x.example');
  await clock.advance(600_000);
  assert.deepEqual(resolver.resolved().get('x.example'), ['203.0.113.7']);
});

test('names that hang are given up, never asked for twice at a time, and the others still come', async t => {
  const { resolver, zone, clock, most } = setUp(t);
  for (const n of [1, 2, 3, 4]) zone.set(`hang${n}.example`, 'hang');
  zone.set('good.example', ['203.0.113.7']);
  resolver.want(['hang1.example', 'hang2.example', 'hang3.example', 'hang4.example', 'good.example']);
  await clock.advance(600_000);
  assert.deepEqual(resolver.resolved().get('good.example'), ['203.0.113.7']);
  assert.equal(most(), 5, 'one lookup a name, however long it hangs');
});

test('a silent peer’s name is looked up again at once, but not over and over', async t => {
  const { resolver, zone, clock, asked } = setUp(t);
  zone.set('x.example', ['203.0.113.7']);
  resolver.want(['x.example']);
  await clock.advance(10_000);
  zone.set('x.example', ['203.0.113.8']);
  for (let n = 0; n < 45; n += 1) {
    resolver.hurry('x.example');
    resolver.hurry('other.example');
    await clock.advance(100);
  }
  assert.deepEqual(resolver.resolved().get('x.example'), ['203.0.113.8']);
  assert.deepEqual(asked, ['x.example', 'x.example']);
  await clock.advance(1_000);
  resolver.hurry('x.example');
  await clock.advance(1_000);
  assert.equal(asked.length, 3);
});

test('a name that is wanted no more is forgotten', async t => {
  const { resolver, zone, clock, asked } = setUp(t);
  zone.set('x.example', ['203.0.113.7']);
  resolver.want(['x.example']);
  await clock.advance(10);
  resolver.want([]);
  assert.equal(resolver.resolved().size, 0);
  await clock.advance(300_000);
  assert.equal(asked.length, 1);
});
