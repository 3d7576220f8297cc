import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Entry, tar } from '../../image/tar.ts';

const extract = (archive: Buffer, check: (folder: string) => void): void => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tar-'));
  try {
    execFileSync('tar', ['-x', '-p', '-C', folder], { input: archive });
    check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const name = fc.stringMatching(/^[a-z][a-z0-9._-]{0,30}$/);
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map(parts => parts.join('/'));
const file = fc.record({
  kind: fc.constant('file' as const),
  content: fc.uint8Array({ maxLength: 1500 }),
  executable: fc.boolean(),
});
const link = fc.record({ kind: fc.constant('link' as const), target: path });

/** Paths of which none lies beneath another. */
const entries = fc
  .array(fc.tuple(path, fc.oneof(file, link)), { maxLength: 6 })
  .map(list =>
    list.filter(
      ([p], i) =>
        !list.some(([q], j) => i !== j && (`${p}/`.startsWith(`${q}/`) || `${q}/`.startsWith(`${p}/`))),
    ),
  );

describe('tar', () => {
  test('what is packed is what the system’s tar unpacks', () => {
    fc.assert(
      fc.property(entries, list => {
        extract(tar(new Map<string, Entry>(list)), folder => {
          for (const [at, entry] of list) {
            const found = join(folder, at);
            if (entry.kind === 'link') assert.equal(readlinkSync(found), entry.target);
            else {
              assert.deepEqual(new Uint8Array(readFileSync(found)), new Uint8Array(entry.content));
              assert.equal(lstatSync(found).mode & 0o7777, entry.executable ? 0o755 : 0o644);
            }
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  test('the order of the entries does not matter', () => {
    fc.assert(
      fc.property(entries, list => {
        const forward = tar(new Map<string, Entry>(list));
        assert.ok(forward.equals(tar(new Map<string, Entry>(list.toReversed()))));
      }),
    );
  });

  test('folders keep their modes, and those above an entry come by themselves', () => {
    const list = new Map<string, Entry>([
      ['tmp', { kind: 'folder', mode: 0o1777 }],
      ['a/b/c', { kind: 'file', content: Buffer.from('x') }],
    ]);
    extract(tar(list), folder => {
      assert.equal(lstatSync(join(folder, 'tmp')).mode & 0o7777, 0o1777);
      assert.equal(lstatSync(join(folder, 'a/b')).mode & 0o7777, 0o755);
    });
  });

  test('owner is root and time is zero, whoever packs and when', () => {
    const archive = tar(new Map<string, Entry>([['a', { kind: 'file', content: Buffer.from('x') }]]));
    const listing = execFileSync('tar', ['-tv', '--numeric-owner', '--utc'], {
      input: archive,
      encoding: 'utf8',
    });
    assert.match(listing, /^-rw-r--r-- 0\/0 +1 1970-01-01 00:00 a$/m);
  });

  test('a long path is split, and one that is too long is an error', () => {
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
    const one = (at: string) =>
      tar(new Map<string, Entry>([[at, { kind: 'file', content: Buffer.from('x') }]]));
    extract(one(long), folder => assert.equal(readFileSync(join(folder, long), 'utf8'), 'x'));
    assert.throws(() => one('n'.repeat(101)), /too long/);
    assert.throws(() => one(`${'d/'.repeat(100)}${'n'.repeat(90)}`), /too long/);
  });
});
