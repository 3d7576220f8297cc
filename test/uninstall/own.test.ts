import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Firewalls } from '../../platform/linux/firewall.ts';
import { readSysctlRecord, recordedSysctls } from '../../platform/linux/sysctlrecord.ts';
import type { Kernel, Sysctls } from '../../platform/linux/types.ts';
import { uninstallFiles } from '../../uninstall/files.ts';
import { uninstallKernel } from '../../uninstall/kernel.ts';
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

test('a setting that cannot be put back stays on record, is told, and is tried again by the next run', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-uninstall-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const at = (name: string): string => join(folder, name);
  const places = {
    runDir: at('run'),
    sysctlRecord: at('run/sysctls.json'),
    stateDir: at('state'),
    cniBinDir: at('bin'),
    cniConfDir: at('conf'),
    wireguardDir: at('wireguard'),
  };
  mkdirSync(at('run/pods'), { recursive: true });
  const changed = { before: '0', ours: '1' };
  writeFileSync(
    places.sysctlRecord,
    JSON.stringify({ 'ipv4/a': changed, 'ipv4/b': changed, 'ipv4/c': changed }),
  );
  const settings = new Map(['a', 'b', 'c'].map(name => [`ipv4/${name}`, '1']));
  let refused = 'ipv4/b';
  const kernel = {
    links: { list: async () => [] },
    routes: { ours: async () => [] },
    sysctls: {
      read: async (key: string) => settings.get(key),
      write: async (key: string, value: string) => {
        if (key === refused) throw new Error('EROFS');
        settings.set(key, value);
      },
    },
  } as unknown as Kernel;
  const firewalls = { tables: async () => '', chains: async () => [] } as unknown as Firewalls;
  const run = async (): Promise<readonly string[]> =>
    [...(await uninstallKernel(kernel, firewalls, places.sysctlRecord)), ...(await uninstallFiles(places))]
      .filter(({ what }) => /setting|sysctls|ipv4/.test(what))
      .map(({ kind, what }) => `${kind} ${what.replace(folder, '')}`);
  assert.deepEqual(await run(), [
    'removed net/ipv4/c from 1 to 0',
    'failed setting net/ipv4/b from 1 to 0',
    'removed net/ipv4/a from 1 to 0',
    'left /run/sysctls.json',
  ]);
  assert.deepEqual(readSysctlRecord(places.sysctlRecord), { 'ipv4/b': changed });
  assert.deepEqual([existsSync(at('run/pods')), settings.get('ipv4/a')], [false, '0']);
  refused = '';
  assert.deepEqual(await run(), ['removed net/ipv4/b from 1 to 0']);
  assert.equal(existsSync(at('run')), false);
});
