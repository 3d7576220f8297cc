/** The demo, as a user runs it: its JSON, its status, and that it leaves nothing behind. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { DemoReport } from '../examples/demo/report.ts';

const MAIN = `${import.meta.dirname}/../examples/demo/main.ts`;
const exec = promisify(execFile);

const links = (): string => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });

/** In the environment of all that a demo of ours starts, since other tests have such processes too. */
const MARK = randomUUID();
const env = { ...process.env, WEFT_TEST_DEMO: MARK };

const isMarked = (pid: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(MARK);
  } catch {
    return false;
  }
};

const processes = (): string[] => readdirSync('/proc').filter(name => /^\d+$/.test(name) && isMarked(name));

test('every pod reaches every pod, nothing in clear, nothing left behind', async () => {
  const before = links();
  const { stdout } = await exec(process.execPath, [MAIN, '--json'], { env, timeout: 120_000 });
  const report = JSON.parse(stdout) as DemoReport;
  assert.deepEqual(report.failures, []);
  assert.equal(report.ok, true);
  assert.equal(report.pods.length, 6);
  assert.equal(report.pings.length, 72);
  assert.ok(report.pings.every(ping => ping.rttMs !== undefined));
  assert.equal(report.peers.length, 6);
  assert.ok(report.wire.wireguardPackets > 0 && report.wire.payloadInTunnel);
  assert.equal(report.wire.podAddressPackets, 0);
  assert.equal(links(), before);
  assert.deepEqual(processes(), []);
  assert.ok(!existsSync('/run/weft/agent.sock'));
});

test('Ctrl-C in the middle ends everything', async () => {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  await new Promise<void>(resolve => {
    child.stderr.on('data', chunk => {
      if (String(chunk).includes('Making two pods')) resolve();
    });
  });
  assert.ok(processes().length > 3, 'nodes have agents, and tunnels');
  child.kill('SIGINT');
  const code = await new Promise(resolve => child.once('exit', resolve));
  assert.notEqual(code, 0);
  assert.deepEqual(processes(), []);
});

test('bad options are told', async () => {
  const { code, stderr } = await exec(process.execPath, [MAIN, '--nodes', '1']).then(
    () => ({ code: 0, stderr: '' }),
    error => error as { code: number; stderr: string },
  );
  assert.equal(code, 1);
  assert.match(stderr, /--nodes must be 2 to 20/);
});
