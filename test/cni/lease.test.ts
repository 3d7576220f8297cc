import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBook } from '../../cni/book.ts';
import { openDelQueue } from '../../cni/delqueue.ts';
import { type Lease, type LeaseStore, leaseKey, openLeases } from '../../cni/lease.ts';
import { encodeHello } from '../../cni/wire.ts';
import type { Cidr, Ip } from '../../types.ts';
import { hello } from './hello.ts';
import { lease } from './leases.ts';

const inDir = (work: (dir: string) => void): void => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-leases-'));
  try {
    work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

const RANGES = ['10.42.1.0/29', 'fd42::/64'] as Cidr[];

test('leases survive a restart, and can be removed', () =>
  inDir(dir => {
    const store = openLeases(join(dir, 'pods'));
    store.save(lease(1));
    store.save(lease(2));
    assert.deepEqual(
      [...openLeases(join(dir, 'pods')).load().leases].sort((a, b) => a.link.localeCompare(b.link)),
      [lease(1), lease(2)],
    );
    store.remove(leaseKey(lease(1)));
    store.remove(leaseKey(lease(1)));
    assert.deepEqual(store.load().leases, [lease(2)]);
  }));

test('damaged files are named, and do not keep the others', () =>
  inDir(dir => {
    const store = openLeases(dir);
    store.save(lease(1));
    const damage: Readonly<Record<string, string>> = {
      empty: '',
      cut: JSON.stringify(lease(2)).slice(0, 40),
      list: '[]',
      nothing: 'null',
      'no-address': JSON.stringify({ ...lease(3), ips: [] }),
      'odd-address': JSON.stringify({ ...lease(3), ips: ['10.42.1.300'] }),
      'no-link': JSON.stringify({ ...lease(3), link: '' }),
    };
    for (const [file, text] of Object.entries(damage)) writeFileSync(join(dir, file), text);
    const { leases, damaged } = store.load();
    assert.deepEqual(leases, [lease(1)]);
    assert.deepEqual([...damaged].sort(), Object.keys(damage).sort());
  }));

test('a copy of a lease by another name, and a folder, are damaged and can be discarded', () =>
  inDir(dir => {
    const store = openLeases(dir);
    store.save(lease(1));
    writeFileSync(join(dir, 'copy:eth0'), JSON.stringify(lease(1)));
    for (const folder of ['folder', '.half']) mkdirSync(join(dir, folder));
    const book = openBook(store);
    assert.deepEqual(book.all(), [lease(1)]);
    assert.deepEqual([...book.damaged()].sort(), ['copy:eth0', 'folder']);
    for (const file of book.damaged()) book.discard(file);
    assert.deepEqual(readdirSync(dir), ['c1:eth0']);
  }));

test('a damaged file is discarded by its name, a lease is not', () =>
  inDir(dir => {
    const store = openLeases(dir);
    store.save(lease(1));
    writeFileSync(join(dir, leaseKey(lease(2))), '{');
    const book = openBook(store);
    assert.deepEqual(book.damaged(), ['c2:eth0']);
    for (const key of ['c1:eth0', 'c2:eth0', 'c3:eth0']) book.discard(key);
    assert.deepEqual(book.damaged(), []);
    assert.deepEqual(readdirSync(dir), ['c1:eth0']);
  }));

test('the temporary file of a killed ADD is no lease, and goes', () =>
  inDir(dir => {
    writeFileSync(join(dir, '.c9:eth0'), JSON.stringify(lease(9)));
    assert.deepEqual(openLeases(dir).load(), { leases: [], damaged: [] });
    assert.deepEqual(readdirSync(dir), []);
  }));

test('a directory that somebody removed is made again', () =>
  inDir(dir => {
    const store = openLeases(join(dir, 'pods'));
    rmSync(join(dir, 'pods'), { recursive: true });
    store.save(lease(1));
    assert.deepEqual(store.load().leases, [lease(1)]);
  }));

const failing = (): LeaseStore => ({
  load: () => ({ leases: [], damaged: [] }),
  save: () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  },
  remove: () => {},
});

test('a lease that cannot be kept is an error that says why, and is not in the book', () => {
  const book = openBook(failing());
  book.setRanges(RANGES, 0);
  assert.throws(() => book.keep(lease(1)), { code: 5, details: /ENOSPC/ });
  assert.deepEqual(book.all(), []);
});

test('an address of each range, or none of any', () => {
  const book = openBook(failing());
  book.setRanges(['10.42.1.0/30', 'fd42::/64'] as Cidr[], 0);
  assert.deepEqual(book.reserve('a', [], 0), ['10.42.1.2', 'fd42::2']);
  assert.throws(() => book.reserve('b', ['fd42::9' as Ip], 0), { code: 101, message: /10\.42\.1\.0\/30/ });
  assert.equal(book.stats(0)[1]?.used, 1);
  assert.throws(() => book.reserve('b', ['10.9.9.9' as Ip], 0), {
    code: 7,
    message: /no podCIDR of this node/,
  });
  book.unreserve(['10.42.1.2', 'fd42::2'] as Ip[], 0);
  assert.deepEqual(book.reserve('b', ['fd42::9' as Ip], 0), ['10.42.1.2', 'fd42::9']);
});

test('podCIDRs that come late find the leases from disk', () => {
  const store: LeaseStore = { ...failing(), load: () => ({ leases: [lease(2)], damaged: [] }) };
  const book = openBook(store);
  assert.equal(book.stats(0).length, 0);
  book.setRanges(RANGES, 0);
  assert.deepEqual(
    book.stats(0).map(pool => pool.used),
    [1, 1],
  );
  assert.throws(() => book.reserve('a', [...lease(2).ips], 0), { message: /held by default\/pod2/ });
});

test('of two leases on one address the one that goes does not free it', () => {
  const twin: Lease = { ...lease(3), ips: lease(2).ips };
  const store: LeaseStore = { ...failing(), load: () => ({ leases: [lease(2), twin], damaged: [] }) };
  for (const order of [
    [lease(2), twin],
    [twin, lease(2)],
  ] as const) {
    const book = openBook(store);
    book.setRanges(RANGES, 0);
    assert.deepEqual(book.release(order[0], 0), []);
    assert.throws(() => book.reserve('a', [...twin.ips], 0), { code: 7 });
    assert.deepEqual(book.release(order[1], 0), lease(2).ips);
    assert.deepEqual(book.reserve('a', [...twin.ips], 0), twin.ips);
  }
});

test('a pod without a lease keeps its address while it lives, and no lease can be hurt by it', () => {
  const book = openBook({ ...failing(), save: () => {} });
  book.setRanges(RANGES, 0);
  const [v4, v6] = lease(2).ips as [Ip, Ip];
  const orphans = new Map([
    [v4, 'wvx'],
    [v6, 'wvx'],
    ['10.9.9.9' as Ip, 'wvx'],
  ]);
  assert.equal(book.setOrphans(orphans, 0), true);
  assert.equal(book.setOrphans(orphans, 0), false);
  assert.throws(() => book.reserve('a', [v4], 0), { message: /held by a pod without lease on wvx/ });
  const held = { ...lease(3), ips: book.reserve('b', [], 0) };
  book.keep(held);
  assert.equal(book.setOrphans(new Map([...orphans, ...held.ips.map(ip => [ip, 'wvy'] as const)]), 0), false);
  assert.equal(book.setOrphans(new Map(), 0), false);
  assert.throws(() => book.reserve('a', [...held.ips], 0), { code: 7 });
  assert.deepEqual(book.reserve('a', [v4, v6], 0), [v4, v6]);
});

test('queued DELs are read, done and gone; others are named and gone', () =>
  inDir(dir => {
    const path = join(dir, 'del');
    const queue = openDelQueue(path);
    assert.deepEqual(queue.all(assert.fail), []);
    mkdirSync(path);
    writeFileSync(join(path, 'c1:eth0'), encodeHello(hello({ CNI_COMMAND: 'DEL' })));
    writeFileSync(join(path, 'cut'), encodeHello(hello()).subarray(0, 9));
    writeFileSync(join(path, 'nameless'), encodeHello(hello({ CNI_CONTAINERID: undefined })));
    writeFileSync(join(path, '.half'), 'x');
    mkdirSync(join(path, 'folder'));
    queue.put({ containerId: 'c2', ifname: 'net1' });
    const damaged: string[] = [];
    const queued = queue.all(file => damaged.push(file));
    assert.deepEqual(queued.map(leaseKey).sort(), ['c1:eth0', 'c2:net1']);
    assert.deepEqual(damaged.sort(), ['cut', 'folder', 'nameless']);
    queue.find({ containerId: 'c1', ifname: 'eth0' })?.done();
    assert.equal(queue.find({ containerId: 'c1', ifname: 'eth0' }), undefined);
    for (const one of queued) one.done();
    assert.deepEqual(readdirSync(path), ['.half']);
  }));

test('a lease is for root alone', () =>
  inDir(dir => {
    const pods = join(dir, 'pods');
    openLeases(pods).save(lease(1));
    assert.equal(statSync(pods).mode & 0o777, 0o700);
    assert.equal(statSync(join(pods, leaseKey(lease(1)))).mode & 0o777, 0o600);
  }));
