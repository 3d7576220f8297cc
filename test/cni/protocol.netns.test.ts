/** Checklist of the CNI contract, 1 to 17: environment, stdin, versions, errors. The real binary, a real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enterLab } from '../lab/reenter.ts';
import { type Answer, addPod, call, callPod, newId, newNetns } from './bed.ts';
import { untilNothingRemains } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const NETNS = '/run/netns/any';

const bed = useBed({ each: false });

/** An error as the specification wants it: exit status, one JSON object on stdout, the request's version. */
function assertError(answer: Answer, code: number, version = '1.1.0'): void {
  assert.notEqual(answer.code, 0, answer.stdout);
  assert.equal(answer.json?.code, code, answer.stdout);
  assert.equal(answer.json?.cniVersion, version);
  assert.ok(answer.json?.msg);
  assert.equal(answer.stdout.trim().split('\n').length, 1);
}

test('1 VERSION lists all versions and has a cniVersion', async () => {
  const { code, json } = await call('VERSION');
  assert.equal(code, 0);
  assert.deepEqual(json?.supportedVersions, VERSIONS);
  assert.ok(json?.cniVersion);
});

test('2 VERSION returns while stdin never ends, and when it is closed', async () => {
  assert.equal((await call('VERSION', { stdinAs: 'open' })).code, 0);
  assert.equal((await call('VERSION', { stdinAs: 'closed' })).code, 0);
});

test('3 VERSION works with no other environment', async () => {
  const env = { CNI_IFNAME: undefined, CNI_PATH: undefined, PATH: undefined };
  assert.deepEqual((await call('VERSION', { env })).json?.supportedVersions, VERSIONS);
});

test('4 an unknown command is code 4', async () => {
  assertError(await call('DESTROY', { id: 'a', netns: NETNS }), 4);
});

test('4 no command at all prints what this is and succeeds', async () => {
  const { code, stdout, stderr } = await call(undefined);
  assert.equal(code, 0);
  assert.equal(stdout, '');
  assert.match(stderr, /1\.1\.0/);
});

const NEEDED = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
};

for (const [command, names] of Object.entries(NEEDED)) {
  for (const name of names)
    test(`5 ${command} without ${name} is code 4 and says so`, async () => {
      const answer = await call(command, { id: newId(), netns: NETNS, env: { [name]: undefined } });
      assertError(answer, 4);
      assert.match(answer.json?.msg ?? '', new RegExp(`\\[${name}\\]`));
    });

  test(`5 ${command} names all that is missing`, async () => {
    const env = Object.fromEntries(names.map(name => [name, undefined]));
    const answer = await call(command, { env });
    for (const name of names) assert.match(answer.json?.msg ?? '', new RegExp(name));
  });
}

test('6 bad characters in CNI_CONTAINERID are code 4', async () => {
  for (const id of ['a/b', '-a', '.a', 'a b', 'a:b', 'ä', '../x'])
    for (const command of ['ADD', 'DEL', 'CHECK']) assertError(await call(command, { id, netns: NETNS }), 4);
});

test('7 bad interface names are code 4', async () => {
  for (const ifname of ['sixteencharacter', '.', '..', 'a/b', 'a:b', 'a b', 'a\tb'])
    assertError(await call('ADD', { id: newId(), netns: NETNS, ifname }), 4);
});

test('8 stdin that is not JSON, or no object, is code 6', async () => {
  for (const stdin of ['', 'hello', '{"cniVersion":"1.1.0",', '[]', 'null', '"x"', '7'])
    for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'])
      assert.equal(
        (await call(command, { id: newId(), netns: NETNS, stdin })).json?.code,
        6,
        `${command} ${stdin}`,
      );
});

test('9 stdin that cannot be read is code 5', async () => {
  for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'])
    assert.equal((await call(command, { id: newId(), netns: NETNS, stdinAs: 'closed' })).json?.code, 5);
});

test('9 stdin above the limit is code 5, and the agent lives', async () => {
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'weft', padding: 'x'.repeat(3 << 20) });
  assert.equal((await call('ADD', { id: newId(), netns: NETNS, stdin })).json?.code, 5);
  assert.equal((await call('STATUS')).json?.code, 50);
});

test('10 no network name is code 7', async () => {
  for (const name of [undefined, '', 5])
    assertError(await call('ADD', { id: newId(), netns: NETNS, config: { name } }), 7);
});

test('11 bad characters in the network name are code 7', async () => {
  for (const name of ['a/b', '-a', 'a b', '../x'])
    assertError(await call('ADD', { id: newId(), netns: NETNS, config: { name } }), 7);
});

test('the order is environment, stdin, configuration, version', async () => {
  const all = { id: 'a/b', netns: NETNS, version: '9.9.9' } as const;
  assert.equal((await call('ADD', { ...all, stdin: 'no' })).json?.code, 4);
  assert.equal((await call('ADD', { ...all, id: 'a', stdin: 'no' })).json?.code, 6);
  assert.equal((await call('ADD', { ...all, id: 'a', config: { name: '' } })).json?.code, 7);
  assert.equal((await call('ADD', { ...all, id: 'a' })).json?.code, 1);
});

test('12 an unsupported version is code 1, with both sides in the details', async () => {
  for (const version of ['9.9.9', '0.1.0', '0.2.0', '1.2.0']) {
    const answer = await call('ADD', { id: newId(), netns: NETNS, version });
    assertError(answer, 1, version);
    assert.match(answer.json?.details ?? '', new RegExp(`${version.replaceAll('.', '\\.')}.*1\\.1\\.0`));
  }
  assert.equal(
    (await call('ADD', { id: newId(), netns: NETNS, config: { cniVersion: undefined } })).json?.code,
    1,
  );
});

test('13 a version that is none is code 1 for ADD and DEL, 6 for CHECK, GC and STATUS', async () => {
  for (const version of ['latest', '1.1', 'v1.0.0']) {
    for (const command of ['ADD', 'DEL'])
      assert.equal((await call(command, { id: newId(), netns: NETNS, version })).json?.code, 1, version);
    for (const command of ['CHECK', 'GC', 'STATUS'])
      assert.equal((await call(command, { id: newId(), netns: NETNS, version })).json?.code, 6, version);
  }
});

for (const version of VERSIONS)
  test(`14 an error is JSON on stdout with the request's version, ${version}`, async () => {
    assertError(await call('ADD', { id: newId(), netns: '/run/netns/none', version }), 5, version);
  });

test('15 stdout carries nothing but the JSON, stderr nothing', async () => {
  const pod = await addPod();
  for (const command of ['CHECK', 'DEL']) {
    const answer = await callPod(command, pod);
    assert.equal(answer.code, 0, answer.stdout);
    assert.equal(answer.stdout, '');
    assert.equal(answer.stderr, '');
  }
});

test('16 unknown keys are ignored, in the configuration and in what the runtime adds', async () => {
  const config = {
    future: { deep: [1, null, { x: 'y' }] },
    ipam: { type: 'host-local' },
    runtimeConfig: { unheardOf: [1], portMappings: [] },
    args: { labels: [], cni: { unheardOf: 1 } },
    dns: null,
  };
  const pod = await addPod({
    config,
    env: { CNI_ARGS: 'IgnoreUnknown=1;WHAT=ever;EMPTY=;=;;x', CNI_NEW: '1' },
  });
  assert.equal((await callPod('DEL', pod, { config })).code, 0);
});

test('17 without capabilities runtimeConfig is honoured', async () => {
  const pod = await addPod({ config: { runtimeConfig: { ips: ['10.42.1.77/24', 'fd42:0:0:1::77/64'] } } });
  assert.deepEqual([pod.v4, pod.v6], ['10.42.1.77', 'fd42:0:0:1::77']);
  assert.equal((await callPod('DEL', pod)).code, 0);
});

test('nothing was made by requests that were refused', async () => {
  await untilNothingRemains();
  assert.equal(bed.cni.stats().pools[0]?.used, 0);
  const id = newId();
  const netns = await newNetns();
  assert.equal((await call('ADD', { id, netns })).code, 0);
  assert.equal((await call('DEL', { id, netns })).code, 0);
});
