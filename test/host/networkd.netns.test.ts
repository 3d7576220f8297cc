/** systemd-networkd itself: told of the uplink alone it leaves pods alone; told to manage every link it does not. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { assertLossless, assertResumes } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { type Beside, check, mended, noBus, reach, startBeside, startBus, typed, WHOLE } from './beside.ts';

const PROGRAM = '/lib/systemd/systemd-networkd';
const missing = existsSync(PROGRAM) ? noBus : 'the Debian package systemd is not installed';
if (missing === false) await enterLab(import.meta.filename);

/** From `systemd 252 (252.38-1)`. */
const version = missing === false ? execFileSync(PROGRAM, ['--version']).toString().split(' ')[1] : '';

/** As systemd makes them for it. */
const FOLDERS = `for f in links leases lldp; do mkdir -p /run/systemd/netif/$f; done
chown -R systemd-network:systemd-network /run/systemd/netif; mkdir -p /etc/systemd/network`;

const network = (file: string, ...lines: readonly string[]): string =>
  `printf '${lines.join('\\n')}\\n' > /etc/systemd/network/${file}.network`;

describe(`systemd-networkd ${version}`, { skip: missing }, () => {
  let beside: Beside;
  let daemon: ChildProcess | undefined;

  const line = (text: string): Promise<string> => typed(beside.host, text);

  const restart = async (): Promise<void> => {
    if (daemon !== undefined) {
      const ended = once(daemon, 'exit');
      daemon.kill();
      await ended;
    }
    daemon = beside.daemon([PROGRAM]);
  };

  /** How it looks upon a link: `unmanaged`, `configured`. */
  const untilSetup = (link: string, setup: RegExp): Promise<true> =>
    until(
      `${link} to be ${setup}`,
      async () => setup.test(await line(`networkctl status ${link} | cat`)) || undefined,
    );

  before(async () => {
    beside = await startBeside({ root: '', version: '', missing: false });
    await startBus(beside);
    await line(FOLDERS);
    // An address in the file sends networkd 252 into a loop on kernel 6.18: "Numerical result out of range".
    const uplink = ['[Match]', 'Name=eth0', '[Network]', 'KeepConfiguration=static', 'IPv6AcceptRA=no'];
    await line(network('10-eth0', ...uplink));
    await restart();
    await untilSetup('eth0', /\(configured\)/);
  });

  after(async () => beside?.end());

  test('where it configures the uplink alone, its restart cuts nothing', async () => {
    const { podA, podB } = beside;
    const before = await mended(beside);
    await assertLossless(podA, podB, 3, restart);
    await untilSetup('weft-wg', /\(unmanaged\)/);
    assert.deepEqual(await reach(beside), WHOLE);
    assert.deepEqual(await mended(beside), before);
    assert.equal(await check(beside, 'foreign hands'), undefined);
  });

  test('told to manage every link, it takes pods off the bridge; that is mended, said, and cured for good', async () => {
    const { podA, podB } = beside;
    await line(network('20-all', '[Match]', 'Name=*', '[Network]', 'DHCP=yes'));
    await assertResumes(podA, podB, 4, 2_000, restart);
    await until('pods’ wires to be mended', async () => (await mended(beside)).pods);
    assert.deepEqual(await reach(beside), WHOLE);

    const { cure = '' } = (await check(beside, 'foreign hands')) ?? {};
    const [, text = ''] = /^with systemd-networkd: (.*) \(with NetworkManager: .*\)$/.exec(cure) ?? [];
    await line(text);
    for (const link of ['weft0', 'weft-wg']) await untilSetup(link, /\(unmanaged\)/);
    const before = await mended(beside);
    await assertLossless(podA, podB, 3, restart);
    await untilSetup('eth0', /\(configured\)/);
    assert.deepEqual(await mended(beside), before);
  });
});
