import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSupervisor } from '../../image/wireguard.ts';
import { type Namespace, newHost } from '../lab/namespace.ts';

const LINK = 'weft-wg-test';

const skip = (() => {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/usr/bin/gcc')) return 'not installed: gcc';
  if (!existsSync('/usr/bin/wireguard-go')) return 'not installed: wireguard-go';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  // It would rightly do nothing.
  return existsSync('/sys/module/wireguard') && 'the kernel has WireGuard';
})();

const eventually = async (what: string, check: () => Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await check()) return;
    await sleep(50);
  }
  assert.fail(`${what}: not within 10 s`);
};

describe('weft-wireguard', { skip }, () => {
  let host: Namespace;
  let child: ChildProcess | undefined;

  const start = async (): Promise<ChildProcess> => {
    const program = await buildSupervisor(process.arch === 'arm64' ? 'arm64' : 'amd64');
    child = host.start([program, LINK]);
    return child;
  };
  const kindOf = async (): Promise<string> =>
    host.run(['ip', '-d', 'link', 'show', LINK]).catch(() => 'none');
  const ends = (process: ChildProcess): Promise<number | null> =>
    new Promise(resolve => process.once('exit', resolve));

  beforeEach(async () => {
    host = await newHost('mount -t tmpfs tmpfs /run');
  });

  afterEach(async () => {
    child?.kill('SIGKILL');
    child = undefined;
    await host.end();
  });

  const answers = (): Promise<boolean> =>
    host.run(['wg', 'show', LINK]).then(
      text => text.includes(LINK),
      () => false,
    );
  const childOf = async (process: ChildProcess): Promise<number> =>
    Number(await host.run(['sh', '-c', `cat /proc/${process.pid}/task/${process.pid}/children`]));

  test('runs wireguard-go, and takes it along when it is told to end', async () => {
    const process = await start();
    await eventually('wireguard-go answers', answers);
    assert.match(await kindOf(), /tun/);
    const exit = ends(process);
    process.kill('SIGTERM');
    assert.equal(await exit, 0);
    await eventually('the link is gone', async () => (await kindOf()) === 'none');
  });

  test('starts wireguard-go again, each time that it ends by itself', async () => {
    const process = await start();
    for (const signal of ['KILL', 'TERM', 'KILL']) {
      await eventually('wireguard-go answers', answers);
      const first = await childOf(process);
      await host.run(['kill', `-${signal}`, String(first)]);
      await eventually('another runs', async () => {
        const next = await childOf(process);
        return next !== 0 && next !== first;
      });
    }
    await eventually('wireguard-go answers', answers);
    assert.equal(process.exitCode, null);
  });

  test('leaves no wireguard-go behind when it is killed', async () => {
    const process = await start();
    await eventually('wireguard-go answers', answers);
    process.kill('SIGKILL');
    await eventually('the link is gone', async () => (await kindOf()) === 'none');
  });

  test('waits while another holds the link, and takes over when it is gone', async () => {
    await host.run(['ip', 'link', 'add', LINK, 'type', 'bridge']);
    const process = await start();
    await sleep(300);
    assert.equal(process.exitCode, null);
    assert.match(await kindOf(), /bridge/);
    await host.run(['ip', 'link', 'delete', LINK]);
    await eventually('a tunnel is there', async () => /tun/.test(await kindOf()));
  });

  test('ends at once when it is told to while it waits', async () => {
    await host.run(['ip', 'link', 'add', LINK, 'type', 'bridge']);
    const process = await start();
    await sleep(300);
    const exit = ends(process);
    process.kill('SIGTERM');
    assert.equal(await exit, 0);
    assert.match(await kindOf(), /bridge/);
  });
});
