/** Every example prints what its expected.txt says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { labUnavailable } from './lab/reenter.ts';

const EXAMPLES = join(import.meta.dirname, '..', 'examples');

const named = readdirSync(EXAMPLES).filter(name => existsSync(join(EXAMPLES, name, 'expected.txt')));

describe('examples', { skip: labUnavailable() ?? false }, () => {
  for (const name of named)
    test(name, async () => {
      const folder = join(EXAMPLES, name);
      const program = [join(folder, 'main.ts')];
      const { stdout } = await promisify(execFile)(process.execPath, program, { timeout: 120_000 });
      const expected = join(folder, 'expected.txt');
      if (process.env.WEFT_GOLDEN === 'write') writeFileSync(expected, stdout);
      assert.equal(stdout, readFileSync(expected, 'utf8'));
    });

  test('there are some', () => assert.ok(named.length >= 3));
});
