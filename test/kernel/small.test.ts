/** The pure parts of the boot. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { quoted } from './boot.ts';
import { cpio } from './cpio.ts';
import { wantedPackage } from './package.ts';

const skip = existsSync('/bin/busybox')
  ? false
  : 'it needs busybox, which setup installs where the tier can run';

test('an archive unpacks to what was put in', { skip }, t => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-cpio-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const archive = cpio([
    { path: 'bin' },
    { path: 'bin/tool', content: '#!/bin/sh\n', executable: true },
    { path: 'five', content: Uint8Array.of(1, 2, 3, 4, 5) },
    { path: 'nothing', content: '' },
  ]);
  assert.equal(archive.length % 4, 0);
  execFileSync('busybox', ['cpio', '-i'], { cwd: dir, input: archive, stdio: ['pipe', 'ignore', 'ignore'] });
  assert.equal(readFileSync(join(dir, 'bin/tool'), 'utf8'), '#!/bin/sh\n');
  assert.equal(statSync(join(dir, 'bin/tool')).mode & 0o777, 0o755);
  assert.deepEqual([...readFileSync(join(dir, 'five'))], [1, 2, 3, 4, 5]);
  assert.equal(statSync(join(dir, 'five')).mode & 0o777, 0o644);
  assert.equal(readFileSync(join(dir, 'nothing')).length, 0);
});

test('the kernel that the meta package stands for', () => {
  const shown =
    'Package: linux-image-amd64\nVersion: 6.1.192-2\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\n';
  assert.equal(wantedPackage(shown), 'linux-image-6.1.0-56-amd64=6.1.192-2');
  assert.equal(
    wantedPackage('Depends: linux-image-6.12.9+deb13-amd64 (= 6.12.9-1~deb13u1)'),
    'linux-image-6.12.9+deb13-amd64=6.12.9-1~deb13u1',
  );
  assert.equal(wantedPackage(''), undefined);
});

test('words are safe for sh', () => {
  const words = ["it's", '$HOME', 'a b', '`x`', '', '\\'];
  const said = execFileSync('sh', ['-c', `printf '%s\\n' ${words.map(quoted).join(' ')}`], {
    encoding: 'utf8',
  });
  assert.deepEqual(said.split('\n').slice(0, -1), words);
});
