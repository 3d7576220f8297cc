/** The binary as `loopback`. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { CNI_SOCKET } from '../../constants.ts';
import { enterLab } from '../lab/reenter.ts';
import { call, clean, newNetns } from './bed.ts';

await enterLab(import.meta.filename);

after(clean);

test('loopback by its name, without an agent', async () => {
  rmSync(CNI_SOCKET, { force: true });
  const netns = await newNetns();
  const lo = (command: string, version = '1.0.0') =>
    call(command, { id: 'a', netns, ifname: 'lo', version, argv0: '/opt/cni/bin/loopback' });
  assert.notEqual((await lo('CHECK')).code, 0);
  for (const version of ['0.3.1', '1.0.0', '1.1.0']) {
    const added = await lo('ADD', version);
    assert.equal(added.code, 0);
    assert.equal(added.json?.cniVersion, version);
    assert.equal(added.json?.interfaces?.[0]?.sandbox, netns);
    assert.equal(added.json?.ips?.[0]?.version, version < '1.0.0' ? '4' : undefined);
    assert.equal((await lo('CHECK')).code, 0);
  }
  assert.equal((await lo('ADD', '9.9.9')).json?.code, 1);
  assert.equal((await lo('DEL')).code, 0);
  assert.notEqual((await lo('CHECK')).code, 0);
  assert.equal((await call('DEL', { id: 'a', netns: '/none', argv0: 'loopback', ifname: 'lo' })).code, 0);
});
