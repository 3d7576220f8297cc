/** What is said when the machine does not do as it should; a script of sh stands for QEMU. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Machine, runMachine } from './machine.ts';

/** `script` runs in the folder of console and status. */
function fake(
  t: TestContext,
  script: string,
  times: Partial<Machine> = {},
): { machine: Machine; out: () => string } {
  const dir = mkdtempSync(join(tmpdir(), 'weft-machine-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const qemu = join(dir, 'qemu');
  writeFileSync(qemu, `#!/bin/sh\ncd ${dir}\n${script}\n`, { mode: 0o755 });
  let output = '';
  const machine = {
    vmlinuz: 'vmlinuz',
    initrd: 'initrd',
    dir,
    memoryMb: 64,
    cpus: 1,
    bootMs: 20_000,
    jobMs: 20_000,
    qemu,
    onOutput: (chunk: Buffer) => {
      output += chunk;
    },
    ...times,
  };
  return { machine, out: () => output };
}

test('the status of the job is what counts, not QEMU’s', async t => {
  const { machine, out } = fake(t, 'echo started >status; echo hello; echo exit 3 >>status; exit 1');
  assert.equal(await runMachine(machine), 3);
  assert.equal(out(), 'hello\n');
});

test('a kernel that hangs at boot: the time, and the last lines of its console', async t => {
  const { machine } = fake(t, 'seq 1 100 | sed "s/^/line /" >console; exec sleep 60', { bootMs: 300 });
  const error = (await runMachine(machine).catch(e => e)) as Error;
  assert.match(error.message, /^the kernel did not come to its job within 0 s; its console's last lines:/);
  assert.match(error.message, /line 86\n(.*\n)*.*line 100$/);
  assert.doesNotMatch(error.message, /line 85\n/);
});

test('a kernel that panics', async t => {
  const { machine } = fake(t, 'echo "Kernel panic - not syncing: no init" >console');
  await assert.rejects(runMachine(machine), /the machine ended before its job did.*Kernel panic/s);
});

test('a job that does not end', async t => {
  const { machine } = fake(t, 'echo started >status; exec sleep 60', { jobMs: 300 });
  await assert.rejects(runMachine(machine), /the job in the kernel did not end within 0 s; it said nothing/);
});

test('a QEMU that refuses its arguments says so itself', async t => {
  const { machine } = fake(t, 'echo "qemu: no such device" >&2; exit 1');
  await assert.rejects(runMachine(machine), /ended before its job did.*qemu: no such device/s);
});

test('no QEMU at all', async t => {
  const { machine } = fake(t, '', { qemu: '/nowhere/qemu' });
  await assert.rejects(runMachine(machine), /ended before its job did.*\/nowhere\/qemu/s);
});

test('a machine that is no longer wanted ends at once', async t => {
  const ended = new AbortController();
  const { machine } = fake(t, 'echo started >status; exec sleep 60', { signal: ended.signal });
  setTimeout(() => ended.abort(), 200);
  await assert.rejects(runMachine(machine), /ended from outside/);
});
