import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatKey, ifnameKey } from '../../platform/linux/nfset.ts';
import type { ElementChange } from '../../platform/linux/types.ts';
import { fails, type Subject, TABLE } from './kernel.helpers.ts';

const four = (...bytes: readonly number[]): Buffer => Buffer.from(bytes);

export function nftCases(subject: Subject): void {
  const { kernel } = subject;
  const { nft } = kernel;
  const table = (body: string): string => `table inet ${TABLE} {\n${body}\n}\n`;
  const set = '  set s {\n    type ipv4_addr\n  }';
  const element = (op: ElementChange['op'], key: Buffer, name = 's'): ElementChange => ({
    op,
    set: name,
    key,
  });

  describe('nft', () => {
    test('a table that is not there is undefined', async () => {
      assert.equal(await nft.list('inet', TABLE), undefined);
    });

    test('a table comes back under its name, the same each time', async () => {
      await nft.apply(
        table(
          `${set}\n  chain c {\n    type filter hook forward priority 0; policy accept;\n    ip saddr @s drop\n  }`,
        ),
      );
      const text = await nft.list('inet', TABLE);
      assert.match(text ?? '', /^table inet contract \{/);
      assert.match(text ?? '', /ip saddr @s drop/);
      assert.equal(await nft.list('inet', TABLE), text);
      assert.equal(await nft.list('bridge', TABLE), undefined);
    });

    test('named counters are read by name', async () => {
      await nft.apply(
        table('  counter a { }\n  counter b { }\n  chain c {\n    ip saddr 192.0.2.1 counter name a\n  }'),
      );
      assert.deepEqual(await nft.counters('inet', TABLE), { a: 0, b: 0 });
      assert.equal(await nft.counters('inet', 'no_such_table'), undefined);
    });

    test('counters of elements are read by set', async () => {
      const counting = (name: string) =>
        `  set ${name} {\n    type ipv4_addr; size 16; flags dynamic; counter\n  }`;
      await nft.apply(table(`${counting('came')}\n${counting('went')}`));
      assert.deepEqual(await nft.tallies('inet', TABLE, ['came', 'went']), { came: 0, went: 0 });
      assert.equal(await nft.tallies('inet', 'no_such_table', ['came']), undefined);
    });

    test('a table is replaced and removed in one transaction', async () => {
      await nft.apply(table('  chain old {\n  }'));
      await nft.apply(`table inet ${TABLE} {\n}\ndelete table inet ${TABLE}\n${table('  chain new {\n  }')}`);
      const text = (await nft.list('inet', TABLE)) ?? '';
      assert.match(text, /chain new/);
      assert.doesNotMatch(text, /chain old/);
      await nft.apply(`delete table inet ${TABLE}\n`);
      assert.equal(await nft.list('inet', TABLE), undefined);
    });

    test('a refusal says why, and nothing of the transaction is done', async () => {
      await nft.apply(table('  chain kept {\n  }'));
      await assert.rejects(
        nft.apply(`delete table inet ${TABLE}\ndelete table inet no_such_table\n`),
        /No such file or directory/,
      );
      assert.match((await nft.list('inet', TABLE)) ?? '', /chain kept/);
      await assert.rejects(nft.apply(table('  chain broken {')), /syntax error/);
    });

    test('one set is listed without the others', async () => {
      await nft.apply(table(`${set}\n  set other {\n    type ipv4_addr\n  }`));
      await nft.elements('inet', TABLE, [element('add', four(10, 9, 0, 1))]);
      const text = (await nft.listSet('inet', TABLE, 's')) ?? '';
      assert.match(text, /set s \{/);
      assert.match(text, /element/);
      assert.doesNotMatch(text, /set other/);
      assert.equal(await nft.listSet('inet', TABLE, 'none'), undefined);
      assert.equal(await nft.listSet('inet', 'no_such_table', 's'), undefined);
    });

    test('elements are added and removed; terse leaves them out', async () => {
      await nft.apply(table(set));
      const bare = await nft.list('inet', TABLE);
      await nft.elements('inet', TABLE, [
        element('add', four(10, 9, 0, 1)),
        element('add', four(10, 9, 0, 2)),
      ]);
      const full = await nft.list('inet', TABLE);
      assert.notEqual(full, bare);
      assert.equal(await nft.list('inet', TABLE, true), bare);
      await nft.elements('inet', TABLE, [element('add', four(10, 9, 0, 1))]);
      assert.equal(await nft.list('inet', TABLE), full, 'adding what is there changes nothing');
      await nft.elements('inet', TABLE, [
        element('delete', four(10, 9, 0, 1)),
        element('delete', four(10, 9, 0, 2)),
      ]);
      assert.equal(await nft.list('inet', TABLE), bare);
    });

    test('all elements of a call or none', async () => {
      await nft.apply(table(set));
      const bare = await nft.list('inet', TABLE);
      const absent = element('delete', four(10, 9, 0, 9));
      await fails(nft.elements('inet', TABLE, [element('add', four(10, 9, 0, 1)), absent]), 'ENOENT');
      await fails(nft.elements('inet', TABLE, [absent, element('add', four(10, 9, 0, 1))]), 'ENOENT');
      await fails(nft.elements('inet', TABLE, [element('add', four(10, 9, 0, 1), 'nosuch')]), 'ENOENT');
      await fails(nft.elements('bridge', TABLE, [element('add', four(10, 9, 0, 1))]), 'ENOENT');
      assert.equal(await nft.list('inet', TABLE), bare);
      await nft.elements('inet', TABLE, []);
    });

    test('maps and concatenated keys', async () => {
      await nft.apply(
        table(
          '  map m {\n    type ipv4_addr : mark\n  }\n  set k {\n    type ifname . ether_addr . ipv4_addr\n  }',
        ),
      );
      const key = concatKey(ifnameKey('wv1'), Buffer.from('020000000001', 'hex'), four(10, 9, 0, 1));
      assert.equal(key.length, 28);
      const mark = Buffer.from([7, 0, 0, 0]);
      const changes: ElementChange[] = [
        { op: 'add', set: 'm', key: four(10, 9, 0, 1), data: mark },
        { op: 'add', set: 'k', key },
      ];
      const bare = await nft.list('inet', TABLE);
      await nft.elements('inet', TABLE, changes);
      assert.notEqual(await nft.list('inet', TABLE), bare);
      await nft.elements(
        'inet',
        TABLE,
        changes.map(c => ({ op: 'delete', set: c.set, key: c.key })),
      );
      assert.equal(await nft.list('inet', TABLE), bare);
    });

    test('of calls of one turn, in several tables, each is done or refused by itself', async () => {
      await nft.apply(table(set));
      const bare = await nft.list('inet', TABLE);
      const keys = Array.from({ length: 20 }, (_, n) => four(10, 9, 2, n));
      const each = (op: ElementChange['op']) =>
        Promise.all(keys.map(key => nft.elements('inet', TABLE, [element(op, key)])));
      const absent = nft.elements('inet', TABLE, [element('delete', four(10, 9, 0, 9))]);
      const elsewhere = nft.elements('bridge', TABLE, [element('add', four(10, 9, 0, 1))]);
      await Promise.all([each('add'), fails(absent, 'ENOENT'), fails(elsewhere, 'ENOENT')]);
      // What is not there cannot be deleted.
      await each('delete');
      assert.equal(await nft.list('inet', TABLE), bare);
    });

    test('calls may overlap, and a call may be large', async () => {
      await nft.apply(table(set));
      const bare = await nft.list('inet', TABLE);
      const batch = (n: number, op: ElementChange['op']): ElementChange[] =>
        Array.from({ length: 1500 }, (_, i) => element(op, four(10, n, i >> 8, i & 255)));
      await Promise.all([1, 2, 3].map(n => nft.elements('inet', TABLE, batch(n, 'add'))));
      await fails(
        nft.elements('inet', TABLE, [...batch(4, 'add').slice(900), ...batch(5, 'delete').slice(900)]),
        'ENOENT',
      );
      await Promise.all([1, 2, 3].map(n => nft.elements('inet', TABLE, batch(n, 'delete'))));
      assert.equal(await nft.list('inet', TABLE), bare);
    });
  });
}
