/** More news and answers at once than a socket holds: nothing ends, nothing is missed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildShim } from '../../cni/shim/build.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import type { KernelEvent } from '../../platform/linux/types.ts';
import { until } from '../contract/kernel.helpers.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

const troubles: string[] = [];
const monitor = buildShim(process.arch === 'arm64' ? 'arm64' : 'amd64');
const kernel = openKernel({ monitor, trouble: message => troubles.push(message) });
const KINDS: readonly KernelEvent[] = ['link', 'address', 'route', 'neighbour', 'nft'];

const rules = (count: number): string =>
  `table inet storm {\n  chain c {\n${Array.from({ length: count }, (_, n) => `    meta mark ${n}\n`).join('')}  }\n}\n`;

/** Blocks this process until the program has ended. */
const blocking = ([file = '', ...args]: readonly string[], input: string): void =>
  void execFileSync(file, args, { input });

const changeLo = (times: number): void => {
  const input = Array.from({ length: times }, (_, n) => `link set lo mtu ${1500 + (n % 2)}\n`).join('');
  blocking(['ip', '-batch', '-'], input);
};

test('a storm of news while the process is busy is survived, and told of in few words', async () => {
  const seen: KernelEvent[] = [];
  const stop = kernel.watch(KINDS, event => seen.push(event));
  await until('listening', () => seen.length >= KINDS.length);
  seen.length = 0;
  blocking(['nft', '-f', '-'], rules(20_000));
  changeLo(5_000);
  await until('news', () => seen.includes('nft') && seen.includes('link'));
  assert.ok(seen.length < 500, `${seen.length} calls`);
  await sleep(100);
  seen.length = 0;
  await kernel.links.change('lo', { mtu: 1400 });
  await until('news after the storm', () => seen.includes('link'));
  stop();
  assert.deepEqual(troubles, []);
});

test('a monitor that is killed is started again, and tells everything anew', async () => {
  const seen: KernelEvent[] = [];
  const stop = kernel.watch(['link'], event => seen.push(event));
  await until('listening', () => seen.length > 0);
  seen.length = 0;
  const pid = execFileSync('pgrep', ['-P', String(process.pid), '-f', 'monitor l '], {
    encoding: 'utf8',
  }).trim();
  process.kill(Number(pid), 'SIGKILL');
  await until('listening again', () => seen.length > 0);
  assert.match(troubles.join('\n'), /monitor ended with SIGKILL/);
  stop();
});

test('it ends with the process that listens', async () => {
  const script = `import { openKernel } from ${JSON.stringify(`${import.meta.dirname}/../../platform/linux/kernel.ts`)};
    openKernel({ monitor: ${JSON.stringify(monitor)} }).watch(['address'], () => process.kill(process.pid, 'SIGKILL'));
    setInterval(() => {}, 1000);`;
  try {
    execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      stdio: 'ignore',
      timeout: 10_000,
    });
  } catch {
    // It killed itself, as told.
  }
  const left = (): boolean => {
    try {
      execFileSync('pgrep', ['-f', 'monitor a '], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  await until('no monitor is left', () => !left());
});

test('where the program is missing, watching says so and goes on trying', async () => {
  const words: string[] = [];
  const lame = openKernel({ monitor: '/nonexistent/weft-cni', trouble: message => words.push(message) });
  const stop = lame.watch(['link'], () => {});
  await until('the trouble is told', () => words.length > 0);
  assert.match(words[0] ?? '', /cannot run \/nonexistent\/weft-cni/);
  stop();
  await lame.close();
  assert.throws(() => openKernel().watch(['link'], () => {}), /watch needs the CNI binary/);
});

test('thousands of requests at once all get their answer', async () => {
  await kernel.links.change('lo', { up: true });
  const all = await Promise.all(Array.from({ length: 5_000 }, () => kernel.links.get('lo')));
  assert.ok(all.every(link => link?.name === 'lo'));
  const refusals = await Promise.allSettled(
    Array.from({ length: 5_000 }, () => kernel.links.add({ name: 'lo', kind: 'bridge' })),
  );
  assert.deepEqual(
    new Set(refusals.map(r => (r.status === 'rejected' ? r.reason.code : 'done'))),
    new Set(['EEXIST']),
  );
});

test('large batches of set elements at once are all refused or all done', async () => {
  await kernel.nft.apply('table inet storm {\n  set s {\n    type ipv4_addr\n  }\n}\n');
  const batch = (op: 'add' | 'delete') =>
    Array.from({ length: 2_000 }, (_, n) => ({ op, set: 's', key: Buffer.from([10, 0, n >> 8, n & 255]) }));
  const refused = await Promise.allSettled(
    Array.from({ length: 100 }, () => kernel.nft.elements('inet', 'storm', batch('delete'))),
  );
  assert.deepEqual(
    new Set(refused.map(r => (r.status === 'rejected' ? r.reason.code : 'done'))),
    new Set(['ENOENT']),
  );
  await Promise.all(Array.from({ length: 100 }, () => kernel.nft.elements('inet', 'storm', batch('add'))));
  assert.match((await kernel.nft.list('inet', 'storm')) ?? '', /10\.0\.7\.207/);
});
