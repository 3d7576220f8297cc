/** Settings in the file, and those in force. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { settingsNow } from '../../agent/settings.ts';
import { defaults } from '../../config.ts';

test('what has changed since the start is named, and what is wrong is said; no file is no news', t => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-settings-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'config.json');
  const now = (text: string) => {
    writeFileSync(path, text);
    return settingsNow(path, { ...defaults(), mtu: 1400 });
  };
  assert.deepEqual(settingsNow(path, defaults()), { path: undefined, error: undefined, changed: [] });
  assert.deepEqual(now('{ "mtu": 1400 }').changed, []);
  assert.deepEqual(now('{ "mtu": 1380, "logLevel": "debug" }').changed, ['mtu', 'logLevel']);
  assert.match(now('{ "mtu": 1 }').error ?? '', /^mtu: /);
  assert.match(now('{').error ?? '', /JSON/);
});
