/** A table that is touched only when it is not what it should be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LinuxError } from '../../platform/linux/errors.ts';
import { openFake } from '../../platform/linux/fake.ts';
import { ensureTable, type TableMemo, type TableMemos } from '../../platform/linux/table.ts';
import type { Nft } from '../../platform/linux/types.ts';

const TEXT = 'table inet t {\n set s {\n  type ipv4_addr\n }\n chain c {\n  drop\n }\n}\n';
const OTHER = TEXT.replace('drop', 'accept');

function newMemos(): TableMemos {
  const memos = new Map<string, TableMemo>();
  return { get: table => memos.get(table), set: async (table, memo) => void memos.set(table, memo) };
}

function bed() {
  const kernel = openFake();
  const applied: string[] = [];
  const nft: Nft = {
    ...kernel.nft,
    apply: async text => {
      applied.push(text);
      await kernel.nft.apply(text);
    },
  };
  const memos = newMemos();
  const ensure = (text: string, withoutElements = false) =>
    ensureTable(nft, 'inet', 't', text, memos, withoutElements);
  return { kernel, nft, memos, applied, ensure };
}

const element = { op: 'add', set: 's', key: Buffer.from([10, 0, 0, 1]) } as const;

describe('ensureTable', () => {
  test('makes it, and then leaves it alone', async () => {
    const { ensure, applied } = bed();
    assert.deepEqual([await ensure(TEXT), await ensure(TEXT), await ensure(TEXT)], [true, false, false]);
    assert.equal(applied.length, 1);
  });

  test('replaces it whole, in one transaction, when another text is wanted', async () => {
    const { ensure, applied, kernel } = bed();
    await ensure(TEXT);
    assert.equal(await ensure(OTHER), true);
    assert.equal(applied[1], `table inet t {\n}\ndelete table inet t\n${OTHER}`);
    const listed = (await kernel.nft.list('inet', 't')) ?? '';
    assert.match(listed, /accept/);
    assert.doesNotMatch(listed, /drop/);
    assert.equal(await ensure(OTHER), false);
  });

  test('sees anybody’s hand: a table gone, a rule more, an element more', async () => {
    const { ensure, kernel } = bed();
    await ensure(TEXT);
    const whole = await kernel.nft.list('inet', 't');
    const hands: readonly (() => Promise<void>)[] = [
      () => kernel.nft.apply('delete table inet t'),
      () => kernel.nft.apply('table inet t {\n chain c {\n  accept\n }\n}'),
      () => kernel.nft.elements('inet', 't', [element]),
    ];
    for (const hand of hands) {
      await hand();
      assert.equal(await ensure(TEXT), true);
      assert.equal(await kernel.nft.list('inet', 't'), whole);
      assert.equal(await ensure(TEXT), false);
    }
  });

  test('does not look at elements where somebody else fills the sets', async () => {
    const { ensure, kernel } = bed();
    await ensure(TEXT, true);
    await kernel.nft.elements('inet', 't', [element]);
    const filled = await kernel.nft.list('inet', 't');
    assert.equal(await ensure(TEXT, true), false);
    assert.equal(await kernel.nft.list('inet', 't'), filled);
  });

  test('with memos that were lost, makes it anew once', async () => {
    const { nft, ensure } = bed();
    await ensure(TEXT);
    const memos = newMemos();
    assert.equal(await ensureTable(nft, 'inet', 't', TEXT, memos), true);
    assert.equal(await ensureTable(nft, 'inet', 't', TEXT, memos), false);
  });

  test('remembers nothing of a transaction that was refused', async () => {
    const { nft, memos, ensure } = bed();
    const apply = async (): Promise<never> => {
      throw new LinuxError('EPERM', 'nft -f -: Operation not permitted');
    };
    await assert.rejects(ensureTable({ ...nft, apply }, 'inet', 't', TEXT, memos), { code: 'EPERM' });
    assert.equal(memos.get('inet t'), undefined);
    assert.equal(await ensure(TEXT), true);
  });

  test('keeps tables of one name in two families apart', async () => {
    const { nft, memos, ensure } = bed();
    await ensure(TEXT);
    const bridge = TEXT.replace('inet', 'bridge');
    assert.equal(await ensureTable(nft, 'bridge', 't', bridge, memos), true);
    assert.deepEqual(
      [await ensure(TEXT), await ensureTable(nft, 'bridge', 't', bridge, memos)],
      [false, false],
    );
  });
});
