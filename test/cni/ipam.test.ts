import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COOL_MS, newPool, type Pool, type Taken, usable } from '../../cni/ipam.ts';
import { cidrRange, familyOf, ipFromNumber, ipToNumber } from '../../ip.ts';
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

type Step =
  | { readonly kind: 'take' }
  | { readonly kind: 'ask'; readonly at: number }
  | { readonly kind: 'free'; readonly at: number };

const steps = fc.array(
  fc.oneof(
    fc.constant<Step>({ kind: 'take' }),
    fc.nat(40).map((at): Step => ({ kind: 'ask', at })),
    fc.nat(40).map((at): Step => ({ kind: 'free', at })),
  ),
  { minLength: 30, maxLength: 200 },
);

const RANGES = ['10.42.1.0/30', '10.42.1.32/29', '10.42.1.16/28', 'fd42::/125', 'fd42::40/124'].map(cidr);

/** The model: a list of who holds what, and a list of what was freed, oldest first. */
function play(range: Cidr, script: readonly Step[]): void {
  const pool = newPool(range);
  const { first, last, size } = usable(range);
  const at = (n: number): Ip => ipFromNumber(familyOf(range), cidrRange(range).first + BigInt(n));
  const held = new Set<Ip>();
  let freed: readonly Ip[] = [];
  const used = new Set<Ip>();

  const gave = (address: Ip): void => {
    const number = ipToNumber(address);
    assert.ok(number >= first && number <= last, `${address} is none for pods`);
    assert.ok(!held.has(address), `${address} was given twice`);
    held.add(address);
    used.add(address);
    freed = freed.filter(one => one !== address);
  };

  for (const [now, step] of script.entries())
    switch (step.kind) {
      case 'take': {
        const result = pool.take('p', now);
        if (BigInt(held.size) === size) assert.equal(result.kind, 'exhausted');
        else {
          const address = taken(result);
          if (used.has(address)) {
            assert.equal(BigInt(used.size), size, `${address} was used again before ones never used`);
            assert.equal(address, freed[0], 'not the one that rested longest');
          }
          gave(address);
        }
        break;
      }
      case 'ask': {
        const address = at(step.at);
        const number = ipToNumber(address);
        const result = pool.take('p', now, address);
        assert.equal(result.kind === 'taken', number >= first && number <= last && !held.has(address));
        if (result.kind === 'taken') gave(result.ip);
        break;
      }
      case 'free': {
        const address = at(step.at);
        pool.free(address, now);
        if (held.delete(address)) freed = [...freed, address];
        break;
      }
    }
  assert.equal(pool.stats(0).used, held.size);
}

test('whatever is taken, asked for and freed: no address twice, none that is not for pods, the oldest first', () => {
  fc.assert(fc.property(fc.constantFrom(...RANGES), steps, play), { numRuns: 500 });
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
