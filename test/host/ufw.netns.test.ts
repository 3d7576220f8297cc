/** ufw itself, by its defaults and otherwise: pods talk, and each cure works as it is printed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { assertResumes } from '../lab/traffic.ts';
import { type Beside, finding, findings, reach, startBeside, typed, untilReach, WHOLE } from './beside.ts';
import { debian } from './debian.ts';

const program = await debian('ufw');
if (program.missing === false) await enterLab(import.meta.filename);

/** As its package does when it is configured. */
const CONFIGURE = 'cp /usr/share/ufw/iptables/*.rules /usr/share/ufw/ufw.conf /etc/ufw/';

/** What comes to the node itself is denied by default, pods' calls too. */
const DENIED = { ...WHOLE, 'pod → node': 'nothing', 'far pod → node': 'nothing' };
/** Another node's pods come with that node's address, and not by a link of weft's. */
const ALLOWED = { ...WHOLE, 'far pod → node': 'nothing' };

describe(`ufw ${program.version}`, { skip: program.missing }, () => {
  let beside: Beside;

  before(async () => {
    beside = await startBeside(program);
    assert.deepEqual(await reach(beside), WHOLE);
    await typed(beside.host, CONFIGURE);
  });

  after(async () => beside?.end());

  const ufw = (line: string): Promise<string> => typed(beside.host, line);

  test('enabled by its defaults, it lets pods talk, and pods call nodes once the cure is typed', async () => {
    await ufw('ufw --force enable');
    await untilReach(beside, DENIED);
    for (const family of ['ip', 'ip6']) await finding(beside, `forward ${family} filter FORWARD`, 'info');
    assert.ok((await findings(beside)).every(found => found.severity === 'info'));
    const { cure } = await finding(beside, 'input ip filter INPUT');
    const [, line = ''] = /\(with ufw: (.*)\)$/.exec(cure ?? '') ?? [];
    assert.match(line, /^ufw allow 51820\/udp; /);
    await ufw(line);
    await untilReach(beside, ALLOWED);
  });

  test('a reload, and disable and enable: flows wait for ufw alone, and new ones follow', async () => {
    const { podA, podB } = beside;
    const again = 'ufw reload; ufw disable; ufw --force enable';
    await assertResumes(podA, podB, 6, 2_000, async () => void (await ufw(again)));
    await untilReach(beside, ALLOWED);
  });

  test('where it rejects what is routed, that is said, and the cure works as it is printed', async () => {
    await ufw('ufw default reject routed');
    for (const family of ['ip', 'ip6']) {
      const { what, cure } = await finding(beside, `forward ${family} filter FORWARD`, 'error');
      assert.match(what, /\(ufw6?-reject-forward: reject/);
      assert.match(cure ?? '', /^ufw default deny routed/);
    }
    assert.equal((await reach(beside))['pod → far pod'], 'nothing');
    const { cure = '' } = await finding(beside, 'forward ip filter FORWARD', 'error');
    await ufw(cure);
    await untilReach(beside, ALLOWED);
    await finding(beside, 'forward ip filter FORWARD', 'info');
  });

  test('the same with iptables-legacy', async () => {
    await ufw('ufw disable');
    for (const name of ['iptables', 'ip6tables'])
      for (const part of ['', '-save', '-restore'])
        await ufw(`ln -sf /usr/sbin/${name}-legacy${part} /etc/alternatives/${name}${part}`);
    await ufw('ufw default reject routed; ufw --force enable');
    const { what, cure = '' } = await finding(beside, 'forward legacy ip filter FORWARD', 'error');
    assert.match(what, /\(ufw-reject-forward: -j REJECT\)/);
    await ufw(cure);
    await untilReach(beside, ALLOWED);
    for (const family of ['ip', 'ip6'])
      await finding(beside, `forward legacy ${family} filter FORWARD`, 'info');
  });
});
