/** Programs and their secrets; in a lab, since secrets pass through /run. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildShim } from '../../cni/shim/build.ts';
import { RUN_DIR } from '../../constants.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { countingExec } from '../../platform/linux/exec.ts';
import { encodeRun, openRunner, splitAnswers } from '../../platform/linux/runner.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

let spawns = 0;
const exec = countingExec(() => {
  spawns += 1;
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

/** `files`: secrets pass through files in /run. */
function behaves(files: boolean): void {
  test('stdin goes in, stdout comes out, LC_ALL is C, each is counted', async () => {
    const before = spawns;
    assert.equal(await exec(['sh', '-c', 'cat; echo $LC_ALL'], 'in '), 'in C\n');
    assert.equal(spawns - before, 1);
  });

  test('a secret can be opened anew by the program, and has no name', async () => {
    mkdirSync(RUN_DIR, { recursive: true });
    // Left by an earlier life with our pid, killed at the worst moment.
    if (files) writeFileSync(`${RUN_DIR}/.secret.${process.pid}`, 'old');
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
}

describe('started from here', () => behaves(true));

const BINARY = buildShim(process.arch === 'arm64' ? 'arm64' : 'amd64');

describe('started by the runner', () => {
  const through = async (work: () => Promise<void>): Promise<void> => {
    const stop = openRunner(BINARY);
    try {
      await work();
    } finally {
      stop();
    }
  };
  let stop = (): void => {};
  before(() => {
    stop = openRunner(BINARY);
  });
  after(() => stop());
  behaves(false);

  test('a hundred at once, more than it takes at a time, each get their own answer', async () => {
    const words = Array.from({ length: 100 }, (_, n) => `${n} `.repeat(n * 50));
    assert.deepEqual(await Promise.all(words.map(word => exec(['cat'], word))), words);
  });

  test('a slow program holds no other up', async () => {
    const slow = exec(['sleep', '2']).then(() => 'slow');
    const quick = exec(['true']).then(() => 'quick');
    assert.equal(await Promise.race([slow, quick]), 'quick');
    await slow;
  });

  test('a runner that is killed fails what is under way, and another one takes over', async () => {
    await through(async () => {
      const under = exec(['sh', '-c', 'kill -9 $PPID; sleep 5']);
      await assert.rejects(under, /runner ended/);
      await sleep(10);
      assert.equal(await exec(['echo', 'again']), 'again\n');
    });
  });

  test('SIGPIPE ends its programs as it ends others', async () => {
    assert.equal((await exec(['sh', '-c', 'yes | head -1'])).trim(), 'y');
  });
});

test('answers are the same wherever the stream is cut', () => {
  const one = (id: number, status: number, out: string, err: string): Buffer => {
    const head = Buffer.alloc(16);
    head.writeUInt32BE(12 + out.length + err.length, 0);
    head.writeUInt32BE(id, 4);
    head.writeInt32BE(status, 8);
    head.writeUInt32BE(out.length, 12);
    return Buffer.concat([head, Buffer.from(out + err)]);
  };
  const stream = Buffer.concat([one(1, 0, 'out', ''), one(2, 256 + 9, '', 'err'), one(3, -2, '', '')]);
  const told = (bytes: Buffer) =>
    splitAnswers(bytes).answers.map(a => [a.id, a.errno, a.status, a.out.toString(), a.err.toString()]);
  const whole = told(stream);
  assert.deepEqual(whole, [
    [1, 0, '0', 'out', ''],
    [2, 0, 'SIGKILL', '', 'err'],
    [3, -2, '0', '', ''],
  ]);
  for (let at = 0; at <= stream.length; at += 1) {
    const { rest } = splitAnswers(stream.subarray(0, at));
    const second = told(Buffer.concat([rest, stream.subarray(at)]));
    assert.deepEqual([...told(stream.subarray(0, at)), ...second], whole, `cut at ${at}`);
  }
});

test('a run is its arguments and its stdin', () => {
  assert.equal(
    encodeRun(7, ['wg', ''], 'in').toString('hex'),
    '0000000e' + '00000007' + '00000002' + '776700' + '00' + '696e',
  );
});
