/** Programs and their secrets; in a lab, since secrets pass through /run. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { RUN_DIR } from '../../constants.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { countingExec } from '../../platform/linux/exec.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

let spawns = 0;
const exec = countingExec(() => {
  spawns += 1;
});

test('stdin goes in, stdout comes out, LC_ALL is C, each is counted', async () => {
  assert.equal(await exec(['sh', '-c', 'cat; echo $LC_ALL'], 'in '), 'in C\n');
  assert.equal(spawns, 1);
});

test('a secret can be opened anew by the program, and has no name', async () => {
  mkdirSync(RUN_DIR, { recursive: true });
  // Left by an earlier life with our pid, killed at the worst moment.
  writeFileSync(`${RUN_DIR}/.secret.${process.pid}`, 'old');
  const script =
    'cat /dev/stdin; echo; cat /dev/stdin; echo; readlink /proc/self/fd/0; stat -Lc %a /dev/stdin';
  const [first, second, path, mode] = (await exec(['sh', '-c', script], 'S3CRET', true)).split('\n');
  assert.deepEqual([first, second, mode], ['S3CRET', 'S3CRET', '600']);
  assert.match(path ?? '', /\(deleted\)$/);
  assert.deepEqual(readdirSync(RUN_DIR), []);
});

test('many secrets at once each reach their own program', async () => {
  const secrets = Array.from({ length: 20 }, (_, n) => `secret ${n}`);
  assert.deepEqual(await Promise.all(secrets.map(s => exec(['cat', '/dev/stdin'], s, true))), secrets);
});

const refusal = async (argv: readonly string[]): Promise<LinuxError> => {
  try {
    await exec(argv);
  } catch (error) {
    assert.ok(error instanceof LinuxError);
    return error;
  }
  return assert.fail('it succeeded');
};

test('a failure carries the program’s own words and, where they tell, the errno', async () => {
  const words = await refusal(['sh', '-c', 'echo out; echo "x: Operation not permitted" >&2; exit 3']);
  assert.equal(words.code, 'EPERM');
  assert.match(words.message, /^sh -c .*: x: Operation not permitted$/);
  assert.match((await refusal(['sh', '-c', 'exit 3'])).message, /exit 3$/);
  assert.match((await refusal(['sh', '-c', 'kill -9 $$'])).message, /exit SIGKILL$/);
  const missing = await refusal(['no-such-program']);
  assert.equal(missing.code, 'ENOENT');
  assert.match(missing.message, /cannot run no-such-program/);
});

test('a program that does not read its stdin is no trouble', async () => {
  assert.equal(await exec(['true'], 'x'.repeat(1 << 20)), '');
  assert.equal(existsSync(`${RUN_DIR}/.secret.${process.pid}`), false);
});
