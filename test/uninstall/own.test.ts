import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSysctlRecord, recordedSysctls } from '../../platform/linux/sysctlrecord.ts';
import type { Sysctls } from '../../platform/linux/types.ts';
import { isOwnLinksSetting, ownLinks, ownTables } from '../../uninstall/own.ts';

test('links of pods, tunnel and bridge are ours, and names that only look alike are not', () => {
  const names = [
    'lo',
    'weft0',
    'wv0123456789a',
    'wvlan0',
    'wb0123456789a',
    'wv0123456789abc',
    'weft-wg',
    'weft-wg0',
    'wvz123456789a',
  ];
  assert.deepEqual(ownLinks(names), ['wb0123456789a', 'wv0123456789a', 'weft-wg', 'weft0']);
});

test('tables whose name is weft or begins with weft- are ours', () => {
  const listing =
    'table inet weft\ntable inet weft-ports\ntable bridge weft\ntable inet wefty\ntable ip filter\ntable ip my-weft\n';
  assert.deepEqual(
    ownTables(listing).map(({ family, name }) => `${family} ${name}`),
    ['inet weft', 'inet weft-ports', 'bridge weft'],
  );
});

test('settings of our own links need not be put back', () => {
  assert.ok(isOwnLinksSetting('ipv4/conf/weft0/rp_filter'));
  assert.ok(isOwnLinksSetting('ipv6/conf/wv0123456789a/accept_ra'));
  assert.ok(!isOwnLinksSetting('ipv4/ip_forward'));
  assert.ok(!isOwnLinksSetting('ipv6/conf/wvlan0/accept_ra'));
});

test('the record keeps what was before the first change, over restarts and damage', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-record-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'deep', 'sysctls.json');
  const kernel = new Map([['a', '0']]);
  const plain: Sysctls = {
    read: async key => kernel.get(key),
    write: async (key, value) => void kernel.set(key, value),
  };
  await recordedSysctls(plain, path).write('a', '1');
  await recordedSysctls(plain, path).write('a', '2');
  assert.deepEqual(readSysctlRecord(path), { a: { before: '0', ours: '2' } });
  assert.equal(kernel.get('a'), '2');
  writeFileSync(path, '{"a": {"before": 3}, "b": {"before": "1", "ours": "2"}}');
  assert.deepEqual(readSysctlRecord(path), { b: { before: '1', ours: '2' } });
  writeFileSync(path, '{');
  assert.deepEqual(readSysctlRecord(path), {});
});
