/** firewalld itself: it cuts pods off by its defaults, which is said, and each cure works as it is printed. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { assertResumes } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import {
  type Beside,
  finding,
  findings,
  noBus,
  reach,
  startBeside,
  startBus,
  typed,
  untilReach,
  WHOLE,
} from './beside.ts';
import { debian } from './debian.ts';

const program = await debian('firewalld');
const missing = program.missing || noBus;
if (missing === false) await enterLab(import.meta.filename);

const FORWARD = 'forward inet firewalld filter_FORWARD';
const PATHS = 'prerouting inet firewalld';

/** Another node's pods come with that node's address, which is in no zone but the default one. */
const CURED = { ...WHOLE, 'far pod → node': 'nothing' };

describe(`firewalld ${program.version}`, { skip: missing }, () => {
  let beside: Beside;
  let daemon: ChildProcess | undefined;

  const line = (text: string): Promise<string> => typed(beside.host, text);

  const start = async (): Promise<void> => {
    daemon = beside.daemon(['firewalld', '--nofork', '--nopid']);
    await until(
      'firewalld',
      () =>
        line('firewall-cmd --state').then(
          () => true as const,
          () => undefined,
        ),
      20_000,
    );
  };

  const errors = async (): Promise<readonly string[]> =>
    (await findings(beside)).filter(f => f.severity === 'error').map(f => f.id);

  const untilWell = (): Promise<true> =>
    until('no error to be said', async () => (await errors()).length === 0 || undefined, 20_000);

  before(async () => {
    beside = await startBeside(program);
    await startBus(beside);
    await start();
  });

  after(async () => beside?.end());

  test('by its defaults it cuts pods off, which is said; the cure, as it is printed, lets all pass', async () => {
    const { cure = '' } = await finding(beside, FORWARD, 'error');
    await finding(beside, PATHS, 'error');
    assert.equal((await reach(beside))['pod → far pod'], 'nothing');
    await line(cure);
    await untilReach(beside, CURED);
    await untilWell();
  });

  test('reloads do not cut flows, and masquerade of the default zone leaves pods’ addresses alone', async () => {
    const { podA, podB } = beside;
    await line('firewall-cmd --permanent --zone=public --add-masquerade');
    const again = 'firewall-cmd --reload; firewall-cmd --complete-reload';
    await assertResumes(podA, podB, 5, 2_000, async () => void (await line(again)));
    await untilReach(beside, CURED);
  });

  test('links that drift into another zone are nothing while our networks stay; without both it is said', async () => {
    await line('for l in weft0 weft-wg; do firewall-cmd --zone=public --change-interface=$l; done');
    await untilReach(beside, CURED);
    assert.deepEqual(await errors(), []);
    await line('firewall-cmd --zone=trusted --remove-source=10.42.0.0/16');
    const { cure = '' } = await finding(beside, FORWARD, 'error');
    await line(cure);
    await untilReach(beside, CURED);
    await untilWell();
  });

  test('its filter of reverse paths alone, which drops IPv6 of pods, is said', async () => {
    await line(
      "sed -i 's/^IPv6_rpfilter=.*/IPv6_rpfilter=yes/' /etc/firewalld/firewalld.conf; firewall-cmd --reload",
    );
    const { cure = '' } = await finding(beside, PATHS, 'error');
    const cut = await reach(beside);
    assert.deepEqual([cut['pod → far pod'], cut['pod → far pod, v6']], ['10.42.1.2', 'nothing']);
    assert.deepEqual(await errors(), [PATHS]);
    await line(cure);
    await untilReach(beside, CURED);
    await untilWell();
  });

  test('the same with its backend of iptables', async () => {
    const ended = daemon === undefined ? undefined : once(daemon, 'exit');
    daemon?.kill();
    await ended;
    await line(
      "rm /etc/firewalld/zones/*; sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/; s/^IPv6_rpfilter=.*/IPv6_rpfilter=yes/' /etc/firewalld/firewalld.conf",
    );
    await start();
    const { cure = '' } = await finding(beside, 'forward ip filter FORWARD', 'error');
    await line(cure);
    await untilReach(beside, CURED);
    await untilWell();
  });
});
