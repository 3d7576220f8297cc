import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COOL_MS, newPool, type Pool, type Taken, usable } from '../../cni/ipam.ts';
import { cidrRange, familyOf, ipFromNumber, ipToNumber, networkOf } from '../../ip.ts';
import type { Cidr, Ip } from '../../types.ts';

const cidr = (text: string): Cidr => text as Cidr;
const ip = (text: string): Ip => text as Ip;

const taken = (result: Taken): Ip => {
  assert.ok(result.kind === 'taken', JSON.stringify(result));
  return result.ip;
};

const drain = (pool: Pool, now = 0): readonly Ip[] => {
  const all: Ip[] = [];
  for (;;) {
    const result = pool.take(`default/p${all.length}`, now);
    if (result.kind !== 'taken') return all;
    all.push(result.ip);
  }
};

test('a /30 has room for one pod; smaller ranges for none', () => {
  assert.deepEqual(drain(newPool(cidr('10.42.1.0/30'))), ['10.42.1.2']);
  for (const small of ['10.42.1.0/31', '10.42.1.7/32', 'fd42::/128'])
    assert.equal(newPool(cidr(small)).take('p', 0).kind, 'exhausted', small);
  assert.deepEqual(drain(newPool(cidr('fd42::/126'))), ['fd42::2', 'fd42::3']);
});

test('a /24 gives .2 to .254, each once, in order', () => {
  const all = drain(newPool(cidr('10.42.1.0/24')));
  assert.deepEqual(
    all,
    Array.from({ length: 253 }, (_, n) => `10.42.1.${n + 2}`),
  );
});

test('a /48 of IPv6 counts and gives without walking the range', () => {
  const pool = newPool(cidr('fd42::/48'));
  assert.equal(pool.stats(0).size, 2n ** 80n - 2n);
  assert.equal(taken(pool.take('a', 0)), 'fd42::2');
  assert.equal(taken(pool.take('a', 0, ip('fd42:0:0:ffff::1'))), 'fd42:0:0:ffff::1');
  assert.equal(taken(pool.take('a', 0)), 'fd42::3');
});

test('a freed address rests until all others were used, then the one that rests longest goes first', () => {
  const pool = newPool(cidr('10.42.1.0/29'));
  const all = drain(pool);
  assert.equal(all.length, 5);
  for (const [n, address] of ['10.42.1.4', '10.42.1.2', '10.42.1.6'].entries()) pool.free(ip(address), n);
  assert.deepEqual(drain(pool, 10), ['10.42.1.4', '10.42.1.2', '10.42.1.6']);
  const fresh = newPool(cidr('10.42.1.0/29'));
  assert.equal(taken(fresh.take('a', 0)), '10.42.1.2');
  fresh.free(ip('10.42.1.2'), 0);
  assert.equal(taken(fresh.take('b', 1)), '10.42.1.3');
});

test('what cools down is counted for a minute', () => {
  const pool = newPool(cidr('10.42.1.0/24'));
  pool.free(taken(pool.take('a', 0)), 1_000);
  assert.equal(pool.stats(1_000).cooling, 1);
  assert.equal(pool.stats(1_000 + COOL_MS - 1).cooling, 1);
  assert.equal(pool.stats(1_000 + COOL_MS).cooling, 0);
});

test('a full pool says which range, how large, who holds how many, what cools, and what to do', () => {
  const pool = newPool(cidr('10.42.1.0/29'));
  drain(pool);
  const result = pool.take('default/late', 0);
  assert.ok(result.kind === 'exhausted');
  assert.match(result.message, /podCIDR 10\.42\.1\.0\/29/);
  assert.match(result.message, /5 for pods, 5 held \(default\/p0, .*default\/p4\)/);
  assert.match(result.message, /0 cooling down/);
  assert.match(result.message, /maxPods/);
});

test('an address asked for: given when free, refused with the reason when not', () => {
  const pool = newPool(cidr('10.42.1.0/24'));
  const refused = (address: string): string => {
    const result = pool.take('default/b', 0, ip(address));
    assert.ok(result.kind === 'refused', address);
    return result.message;
  };
  assert.equal(taken(pool.take('default/a', 0, ip('10.42.1.77'))), '10.42.1.77');
  assert.match(refused('10.42.1.77'), /held by default\/a/);
  assert.match(refused('10.42.2.1'), /outside this node's podCIDR 10\.42\.1\.0\/24/);
  for (const address of ['10.42.1.0', '10.42.1.1', '10.42.1.255']) assert.match(refused(address), /gateway/);
  pool.free(ip('10.42.1.77'), 0);
  assert.equal(taken(pool.take('default/b', 0, ip('10.42.1.77'))), '10.42.1.77');
});

test('leases found on disk are held, and new ones begin behind them', () => {
  const pool = newPool(cidr('10.42.1.0/24'));
  assert.equal(pool.adopt(ip('10.42.1.7'), 'default/a'), true);
  assert.equal(pool.adopt(ip('10.42.1.7'), 'default/b'), false);
  assert.equal(pool.adopt(ip('10.42.1.1'), 'default/b'), false);
  assert.equal(pool.adopt(ip('10.9.9.9'), 'default/b'), false);
  assert.equal(pool.owner(ip('10.42.1.7')), 'default/a');
  assert.equal(taken(pool.take('c', 0)), '10.42.1.8');
});

test('freeing what nobody holds gives nothing', () => {
  const pool = newPool(cidr('10.42.1.0/30'));
  for (const address of ['10.42.1.1', '10.42.1.3', '10.42.1.2', '10.9.9.9']) pool.free(ip(address), 0);
  assert.deepEqual(drain(pool), ['10.42.1.2']);
});

/** `at`: steps from the network's first address, or from its last where it is below zero. */
type Step = { readonly kind: 'take' | 'restart' } | { readonly kind: 'ask' | 'free'; readonly at: number };

const at = fc.integer({ min: -20, max: 40 });

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Step>({ kind: 'take' }) },
    { weight: 6, arbitrary: at.map((n): Step => ({ kind: 'ask', at: n })) },
    { weight: 6, arbitrary: at.map((n): Step => ({ kind: 'free', at: n })) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: 'restart' }) },
  ),
  { minLength: 30, maxLength: 200 },
);

const SMALL = ['10.42.1.0/30', '10.42.1.32/29', '10.42.1.16/28', 'fd42::/125', 'fd42::40/124'].map(cidr);

const counted = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** Every size that a cluster may give its nodes, the last network of a /8 or a /40, so that no bound is a round number. */
const EVERY: readonly Cidr[] = [
  ...counted(16, 30).map(bits => cidr(`${ipFromNumber(4, 2n ** 32n - 2n ** BigInt(32 - bits))}/${bits}`)),
  ...counted(48, 120).map(bits => cidr(`${ipFromNumber(6, 2n ** 128n - 2n ** BigInt(128 - bits))}/${bits}`)),
];

/** What the pool must agree with: who is held, what was freed, oldest first, and what was ever used. */
type Model = { readonly held: Map<Ip, string>; readonly freed: Ip[]; readonly used: Set<Ip> };

const isForPods = (range: Cidr, address: Ip): boolean => {
  const { first, last } = usable(range);
  const number = ipToNumber(address);
  return number >= first && number <= last;
};

function gave(range: Cidr, { held, freed, used }: Model, address: Ip, owner: string): void {
  assert.ok(isForPods(range, address), `${address} is none for pods`);
  assert.ok(!held.has(address), `${address} was given twice`);
  held.set(address, owner);
  used.add(address);
  if (freed.includes(address)) freed.splice(freed.indexOf(address), 1);
}

function takeOne(range: Cidr, pool: Pool, model: Model, now: number): void {
  const { size } = usable(range);
  const result = pool.take(`shop/p${now}`, now);
  if (BigInt(model.held.size) === size) {
    assert.ok(result.kind === 'exhausted');
    for (const part of [range, `${size} for pods`, `${model.held.size} held`])
      assert.ok(result.message.includes(part), result.message);
    const named = result.message.match(/shop\/p\d+/g) ?? [];
    assert.equal(named.length, Math.min(5, model.held.size));
    assert.ok(
      named.every(name => [...model.held.values()].includes(name)),
      result.message,
    );
    return;
  }
  const address = taken(result);
  if (model.used.has(address)) {
    assert.equal(BigInt(model.used.size), size, `${address} was used again before ones never used`);
    assert.equal(address, model.freed[0], 'not the one that rested longest');
  }
  gave(range, model, address, `shop/p${now}`);
}

function ask(range: Cidr, pool: Pool, model: Model, address: Ip, now: number): void {
  const result = pool.take(`shop/p${now}`, now, address);
  const holder = model.held.get(address);
  assert.equal(result.kind === 'taken', isForPods(range, address) && holder === undefined);
  if (result.kind === 'taken') gave(range, model, result.ip, `shop/p${now}`);
  else assert.ok(result.message.includes(address) && result.message.includes(holder ?? range));
}

/** As a new agent finds them on disk: leases in any order, freed ones in the order of freeing. */
function reopened(range: Cidr, { held, freed }: Model, now: number): Pool {
  const pool = newPool(range);
  for (const [address, owner] of [...held].reverse()) assert.ok(pool.adopt(address, owner));
  // The file of freed ones may be older than the leases, and of another range.
  for (const address of [...held.keys(), networkOf(range), ...freed]) pool.cool(address, now);
  return pool;
}

function play(range: Cidr, script: readonly Step[]): void {
  const { first, last } = cidrRange(range);
  const address = (n: number): Ip => {
    const number = n < 0 ? last + 1n + BigInt(n) : first + BigInt(n);
    return ipFromNumber(familyOf(range), number < 0n ? 0n : number);
  };
  const model: Model = { held: new Map(), freed: [], used: new Set() };
  let pool = newPool(range);
  for (const [now, step] of script.entries()) {
    if (!('at' in step))
      if (step.kind === 'take') takeOne(range, pool, model, now);
      else pool = reopened(range, model, now);
    else if (step.kind === 'ask') {
      // Above the last address of all there is none.
      if (ipToNumber(address(step.at)) < 2n ** (familyOf(range) === 4 ? 32n : 128n))
        ask(range, pool, model, address(step.at), now);
    } else {
      pool.free(address(step.at), now);
      if (model.held.delete(address(step.at))) model.freed.push(address(step.at));
    }
    const { used, cooling, free, size } = pool.stats(now);
    assert.deepEqual([used, cooling], [model.held.size, model.freed.length]);
    assert.equal(BigInt(used + cooling) + free, size);
  }
}

test('whatever is taken, asked for and freed: no address twice, none that is not for pods, the oldest first', () => {
  fc.assert(fc.property(fc.constantFrom(...SMALL), steps, play), { numRuns: 500 });
});

test('the same in ranges of every size, /16 to /30 and /48 to /120', () => {
  fc.assert(fc.property(fc.constantFrom(...EVERY), steps, play), { numRuns: 300 });
  for (const range of EVERY) {
    const pool = newPool(range);
    const { first, last, size } = usable(range);
    for (const edge of new Set([first, last]))
      assert.equal(pool.take('p', 0, ipFromNumber(familyOf(range), edge)).kind, 'taken');
    assert.equal(first - cidrRange(range).first, 2n);
    assert.equal(pool.stats(0).free, size === 1n ? 0n : size - 2n);
  }
});

test('freed addresses beyond those remembered are not lost: they come again after all others', () => {
  const pool = newPool(cidr('10.42.1.0/28'), 3);
  const all = drain(pool);
  assert.equal(all.length, 13);
  for (const [n, one] of all.entries()) pool.free(one, n);
  const again = drain(pool);
  assert.equal(new Set(again).size, 13);
  // The three freed last rest longest.
  assert.deepEqual(again.slice(-3), all.slice(-3));
  assert.equal(pool.take('one more', 0).kind, 'exhausted');
});

test('pods that come and go in a /64 leave no more than what is remembered', () => {
  const pool = newPool(cidr('fd42::/64'), 100);
  for (let n = 0; n < 100_000; n++) pool.free(taken(pool.take('p', n)), n);
  assert.equal(pool.stats(100_000).used, 0);
  assert.ok(pool.stats(100_000).cooling <= 100);
});

test('what is said to be next is what is taken, whatever happened before', () => {
  const step = fc.record({ free: fc.boolean(), which: fc.nat(20) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      fc.constantFrom('10.0.0.0/29', 'fd42::/64'),
      (steps, text) => {
        const pool = newPool(text as Cidr, 1);
        const held: Ip[] = [];
        for (const [now, { free, which }] of steps.entries()) {
          if (free && held.length > 0) pool.free(held.splice(which % held.length, 1)[0] as Ip, now);
          else {
            const next = pool.next();
            const taken = pool.take('somebody', now);
            if (next !== undefined) assert.deepEqual(taken, { kind: 'taken', ip: next });
            if (taken.kind === 'taken') held.push(taken.ip);
          }
        }
      },
    ),
  );
});
