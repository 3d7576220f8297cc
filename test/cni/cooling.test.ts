/** What is kept of freed addresses over a restart of the agent. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openBook } from '../../cni/book.ts';
import { openCooling, parseFreed } from '../../cni/cooling.ts';
import { COOL_MS } from '../../cni/ipam.ts';
import { openLeases } from '../../cni/lease.ts';
import type { Cidr, Ip } from '../../types.ts';

const ip = (text: string): Ip => text as Ip;

const inDir = (work: (dir: string) => void): void => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-cooling-'));
  try {
    work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

test('what still cools down is read back, the longest ago first', () =>
  inDir(dir => {
    const path = join(dir, 'run', 'cooling');
    const first = openCooling(path);
    assert.equal(first.load(0).size, 0);
    first.note([ip('10.42.1.7'), ip('fd42::7')], 1_000);
    first.note([ip('10.42.1.5')], 2_000.7);
    first.note([ip('10.42.1.7')], 3_000);
    const expected = [
      ['fd42::7', 1_000],
      ['10.42.1.5', 2_000],
      ['10.42.1.7', 3_000],
    ];
    assert.deepEqual([...openCooling(path).load(3_000)], expected);
    assert.deepEqual([...openCooling(path).load(1_000 + COOL_MS)], expected.slice(1));
    assert.equal(readFileSync(path, 'utf8').split('\n').length, 3, 'what is over is gone from the file');
  }));

test('a line that was cut off, that is none, or of a later time than now is no entry', () => {
  const text = '10.42.1.2 5\n10.42.1.3 999\nnonsense 5\n10.42.1.4 -1\n10.42.1.5\n\n10.42.1.6 5 x\n10.42.1.';
  assert.deepEqual(
    [...parseFreed(text, 10)],
    [
      ['10.42.1.2', 5],
      ['10.42.1.6', 5],
    ],
  );
});

test('any text is read without an error', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => parseFreed(text, 1e9).size >= 0));
});

test('the file does not grow without end', () =>
  inDir(dir => {
    const path = join(dir, 'cooling');
    const cooling = openCooling(path);
    for (let n = 0; n < 10_000; n++) cooling.note([ip(`10.42.1.${n % 200}`)], n);
    assert.ok(readFileSync(path, 'utf8').split('\n').length < 5_000);
    assert.equal(openCooling(path).load(10_000).size, 200);
  }));

test('where it cannot be written nothing is remembered, and nothing fails', () =>
  inDir(dir => {
    writeFileSync(join(dir, 'file'), '');
    const cooling = openCooling(join(dir, 'file', 'cooling'));
    assert.equal(cooling.load(0).size, 0);
    cooling.note([ip('10.42.1.7')], 1);
    assert.ok(!existsSync(join(dir, 'file', 'cooling')));
  }));

test('an agent that starts again gives away last what was freed before it', () =>
  inDir(dir => {
    const ranges = ['10.42.1.0/29', 'fd42::/125'] as Cidr[];
    const open = () => {
      const book = openBook(openLeases(join(dir, 'pods')), openCooling(join(dir, 'cooling')));
      book.setRanges(ranges, 100);
      return book;
    };
    const lease = (ips: readonly Ip[], n: number) => ({
      network: 'weft',
      containerId: `c${n}`,
      ifname: 'eth0',
      link: `wv${n}`,
      hostMac: '02:00:00:00:00:01',
      podMac: '02:00:00:00:00:02',
      ips,
      mtu: 1420,
      pod: undefined,
    });
    const before = open();
    const leases = [0, 1, 2].map(n => lease(before.reserve('p', [], n), n));
    for (const one of leases) before.keep(one);
    before.release(leases[2] as (typeof leases)[0], 10);
    before.release(leases[0] as (typeof leases)[0], 20);
    const after = open();
    assert.deepEqual(
      after.stats(100).map(pool => [pool.family, pool.size, pool.used, pool.cooling, pool.free]),
      [
        [4, 5n, 1, 2, 2n],
        [6, 6n, 1, 2, 3n],
      ],
    );
    const given = Array.from({ length: 4 }, () => after.reserve('q', [], 100)[0]);
    assert.deepEqual(given, ['10.42.1.5', '10.42.1.6', '10.42.1.4', '10.42.1.2']);
    // A line of an address that a lease holds means nothing.
    appendFileSync(join(dir, 'cooling'), '10.42.1.3 30\n');
    assert.equal(open().stats(100)[0]?.used, 1);
    assert.throws(() => open().reserve('q', [ip('10.42.1.3')], 100), /held by/);
  }));
