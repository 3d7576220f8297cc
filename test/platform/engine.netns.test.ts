/** wireguard-go beside the agent: started, found again, replaced when dead, and never part of our life. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { type Engine, ensureWireguard } from '../../platform/linux/engine.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

const skip =
  (existsSync('/sys/module/wireguard') && 'the kernel has WireGuard') ||
  (!existsSync('/usr/bin/wireguard-go') && 'not installed: wireguard-go');

const kernel = openKernel();
const ensure = (link: string): Promise<Engine> => ensureWireguard(kernel, link, { mtu: 1400 });
const daemon = (link: string): number | undefined => {
  const { stdout } = spawnSync('pgrep', ['-f', `wireguard-go ${link}$`], { encoding: 'utf8' });
  return stdout === '' ? undefined : Number(stdout.split('\n')[0]);
};

const start = async ([file = '', ...args]: readonly string[]): Promise<unknown> =>
  once(spawn(file, args, { stdio: 'ignore', env: { ...process.env, LOG_LEVEL: 'error' } }), 'exit');

after(async () => {
  for (const link of await kernel.links.list()) if (link.kind === 'tun') await kernel.links.remove(link.name);
  await kernel.close();
});

test('started once, then found without a process', { skip }, async () => {
  assert.deepEqual(await ensure('wga'), { kind: 'wireguard-go' });
  const pid = daemon('wga');
  assert.deepEqual(await ensure('wga'), { kind: 'wireguard-go' });
  const before = kernel.counts().spawns;
  assert.deepEqual(await ensure('wga'), { kind: 'wireguard-go' });
  assert.equal(kernel.counts().spawns, before);
  assert.equal(daemon('wga'), pid);
});

test('one that was killed is started anew', { skip }, async () => {
  await ensure('wga');
  const pid = daemon('wga') ?? assert.fail('no daemon');
  process.kill(pid, 'SIGKILL');
  await until('the link is gone', async () =>
    (await kernel.links.get('wga')) === undefined ? true : undefined,
  );
  assert.deepEqual(await ensure('wga'), { kind: 'wireguard-go' });
  assert.notEqual(daemon('wga'), pid);
});

test('a link that was removed is made anew at once', { skip }, async () => {
  for (let round = 0; round < 5; round += 1) {
    await ensure('wga');
    await kernel.links.remove('wga');
    assert.deepEqual(await ensure('wga'), { kind: 'wireguard-go' });
  }
});

test('somebody else’s is adopted', { skip }, async () => {
  await start(['wireguard-go', 'wgb']);
  const pid = daemon('wgb');
  assert.deepEqual(await ensure('wgb'), { kind: 'wireguard-go' });
  assert.equal(daemon('wgb'), pid);
});

test('it outlives the process that started it, in a session of its own, with nothing open', {
  skip,
}, async () => {
  const root = `${import.meta.dirname}/../../platform/linux`;
  const script = `import { openKernel } from '${root}/kernel.ts'; import { ensureWireguard } from '${root}/engine.ts';
    console.log(JSON.stringify(await ensureWireguard(openKernel(), 'wgc', { mtu: 1400 }))); process.kill(process.pid, 'SIGKILL');`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual(JSON.parse(stdout), { kind: 'wireguard-go' });
  assert.ok(await kernel.wg.dump('wgc'));
  const pid = daemon('wgc') ?? assert.fail('no daemon');
  const session = execFileSync('ps', ['-o', 'sid=', '-p', String(pid)], { encoding: 'utf8' });
  const ours = execFileSync('ps', ['-o', 'sid=', '-p', String(process.pid)], { encoding: 'utf8' });
  assert.notEqual(session.trim(), ours.trim());
  const files = [0, 1, 2].map(fd =>
    execFileSync('readlink', [`/proc/${pid}/fd/${fd}`], { encoding: 'utf8' }).trim(),
  );
  assert.deepEqual(files, ['/dev/null', '/dev/null', '/dev/null']);
});

test('a link of another kind, and a dead engine, are said so', { skip }, async () => {
  await kernel.links.add({ name: 'wgd', kind: 'bridge' });
  const engine = await ensure('wgd');
  assert.match(engine.kind === 'none' ? engine.reason : '', /no WireGuard answers for it/);
});

test('where there is no program, the reason names the cure', { skip }, () => {
  const root = `${import.meta.dirname}/../../platform/linux`;
  const script = `import { openKernel } from '${root}/kernel.ts'; import { ensureWireguard } from '${root}/engine.ts';
    console.log(JSON.stringify(await ensureWireguard(openKernel(), 'wge', { mtu: 1400 }))); process.exit(0);`;
  const { stdout } = spawnSync(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs tmpfs /dev && exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ],
    { encoding: 'utf8', timeout: 20_000 },
  );
  const engine = JSON.parse(stdout) as Engine;
  assert.equal(engine.kind, 'none');
  assert.match(
    engine.kind === 'none' ? engine.reason : '',
    /\/dev\/net\/tun is not there.*manifests\/weft-userspace\.yaml/,
  );
});
