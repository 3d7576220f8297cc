/** The agent as one file. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundle, oneByte } from '../../image/bundle.ts';

/** Runs a bundle; what Node had loaded of its own by its end. */
function loadedBy(file: string): readonly string[] {
  const tell = 'process.on("exit", () => console.log(JSON.stringify(process.moduleLoadList)))';
  const out = execFileSync(process.execPath, ['--import', `data:text/javascript,${tell}`, file], {
    encoding: 'utf8',
  });
  return JSON.parse(out) as readonly string[];
}

test('imports of Node’s own modules do not bring what nobody asks for', async t => {
  const folder = mkdtempSync('/tmp/weft-bundle-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const entry = join(folder, 'entry.mjs');
  const source = 'import { request } from "node:http"; globalThis.used = request;';
  const loaded = async (text: Uint8Array | string): Promise<readonly string[]> => {
    writeFileSync(join(folder, 'run.mjs'), text);
    return loadedBy(join(folder, 'run.mjs'));
  };
  const isUndici = (name: string): boolean => name.includes('undici');
  assert.ok((await loaded(source)).some(isUndici), 'there is nothing to spare any more');
  writeFileSync(entry, source);
  const ours = await loaded(await bundle(entry));
  assert.ok(ours.some(name => name.endsWith('http')));
  assert.ok(!ours.some(isUndici));
});

test('the bundle is of one byte a letter, and a letter that counts is not changed', async () => {
  const text = Buffer.from(await bundle('main.ts')).toString('latin1');
  assert.ok(!/[^\0-\x7f]/.test(text));
  assert.equal(Buffer.from(oneByte('  // §1\n * 64–71\nx;')).toString(), '  // ?1\n * 64?71\nx;');
  assert.throws(() => oneByte('const dash = /–/;'), /letters outside of ASCII that count: const dash/);
});
