/** The binary against an agent that misbehaves, and as `loopback`. */
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  decodeAnswers,
  decodeHello,
  encodeFrame,
  encodeProgram,
  encodePromise,
  encodeResult,
} from '../../cni/wire.ts';
import { CNI_SOCKET, DEL_QUEUE_DIR, RUN_DIR } from '../../constants.ts';
import type { Step } from '../../platform/linux/gather.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, call, callPod, clean, inPod, makeBridge, newId, newNetns, startBed } from './bed.ts';
import { type Ask, withAgent } from './falseagent.ts';
import { untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

before(async () => {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  await makeBridge();
});

after(clean);

test('the binary hands over environment and stdin as they are, and prints and exits as told', async () => {
  const stdin = `{"name":"ü\\u0000","cniVersion":"1.1.0"}${' '.repeat(200_000)}`;
  let seen: ReturnType<typeof decodeHello> | undefined;
  const answer = await withAgent(
    async (ask, _socket, hello) => {
      seen = decodeHello(hello);
      await ask(encodeResult(7, '{"cniVersion":"1.1.0","x":"ü"}\n'));
    },
    () => call('ADD', { id: 'a', netns: '/x y', stdin, env: { CNI_ARGS: 'K=V;A=b=c', OTHER: 'no' } }),
  );
  assert.ok(seen?.ok);
  assert.equal(seen.value.stdin.toString(), stdin);
  assert.deepEqual([...seen.value.env.keys()].sort(), [
    'CNI_ARGS',
    'CNI_COMMAND',
    'CNI_CONTAINERID',
    'CNI_IFNAME',
    'CNI_NETNS',
    'CNI_PATH',
  ]);
  assert.equal(seen.value.env.get('CNI_ARGS'), 'K=V;A=b=c');
  assert.deepEqual([answer.code, answer.stdout], [7, '{"cniVersion":"1.1.0","x":"ü"}\n']);
});

const step = (kind: Step['kind'], bytes: Buffer, must = false): Step => ({ kind, must, bytes });
const sysctl = (path: string, value: string): Step => step('sysctl', Buffer.from(`${path}\0${value}`));
/** RTM_GETLINK of number 1. */
const LINKS = Buffer.from(
  '200000001200010001000000000000000000000001000000000000000000000000',
  'hex',
).subarray(0, 32);
const errno = (answer: Buffer | undefined): number => answer?.readInt32BE() ?? 0;

test('the binary writes below /proc/sys/net of the pod only', async () => {
  const netns = await newNetns();
  const paths = ['../kernel/hostname', '/etc/motd', 'ipv4/../../kernel/hostname', '', 'a'.repeat(300)];
  const host = readFileSync('/proc/sys/kernel/hostname', 'utf8');
  let answers: readonly Buffer[] = [];
  const answer = await withAgent(
    async ask => {
      const steps = [...paths, 'ipv4/none'].map(path => sysctl(path, 'x'));
      const all = [...steps, step('sysctl', Buffer.from('no-nul')), sysctl('ipv4/ip_forward', '1')];
      answers = decodeAnswers(await ask(encodeProgram(all), 'P'));
      await ask(encodeResult(0, ''));
    },
    () => call('ADD', { id: 'a', netns }),
  );
  assert.equal(answer.code, 0);
  const numbers = answers.map(errno);
  assert.equal(numbers.length, 8);
  assert.equal(numbers.at(-1), 0);
  assert.ok(
    numbers.slice(0, -1).every(n => n < 0),
    numbers.join(),
  );
  assert.equal(readFileSync('/proc/sys/kernel/hostname', 'utf8'), host);
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
});

test('no step of a program is done outside of a pod, and nothing after one that must be done', async () => {
  const serve =
    (steps: readonly Step[], found: (answers: readonly Buffer[]) => void) =>
    async (ask: Ask): Promise<void> => {
      found(decodeAnswers(await ask(encodeProgram(steps), 'P')));
      await ask(encodeResult(0, ''));
    };
  const kinds = ['pod', 'host', 'until'] as const;
  const everything = [sysctl('ipv4/ip_forward', '0'), ...kinds.map(kind => step(kind, Buffer.alloc(32)))];
  await withAgent(
    serve(everything, answers => assert.deepEqual(answers.map(errno), [-9, -9, -9, -9])),
    () => call('ADD', { id: 'a', netns: '/x' }),
  );
  const [first, ...others] = [step('sysctl', Buffer.from('ipv4/none\0' + '1'), true), ...everything];
  const netns = await newNetns();
  await withAgent(
    serve([first as Step, ...others], answers => assert.deepEqual(answers.map(errno), [-2])),
    () => call('ADD', { id: 'a', netns }),
  );
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
});

test('parts of a program are answered together, and a promise is printed where all of it is granted', async () => {
  const netns = await newNetns();
  let answers: readonly Buffer[] = [];
  const answer = await withAgent(
    async ask => {
      await ask(encodeProgram([sysctl('ipv4/ip_forward', '1')], 'b'));
      const rest = encodeProgram([sysctl('ipv4/ip_forward', '0'), sysctl('ipv4/none', '1')]);
      answers = decodeAnswers(await ask(Buffer.concat([rest, encodePromise('{"promised":true}\n')]), 'D'));
    },
    () => call('ADD', { id: 'a', netns }),
  );
  assert.deepEqual([answer.code, answer.stdout], [0, '{"promised":true}\n']);
  assert.deepEqual(answers.map(errno), [0, 0, -2], 'a setting that is not there is not needed');
});

for (const [what, first] of [
  ['refused', sysctl('../x', '1')],
  ['not as it should be', step('podLook', Buffer.concat([Buffer.from([0, 16, 99]), LINKS]))],
] as const)
  test(`a promise is nothing where a step is ${what}: the binary waits for another result`, async () => {
    const netns = await newNetns();
    const answer = await withAgent(
      async ask => {
        await ask(encodeProgram([first], 'b'));
        const rest = encodeProgram([sysctl('ipv4/ip_forward', '1')]);
        const answers = decodeAnswers(await ask(Buffer.concat([rest, encodePromise('{}')]), 'P'));
        assert.equal(answers.length, 2, 'it goes on all the same');
        await ask(encodeResult(1, '{"result":true}\n'));
      },
      () => call('ADD', { id: 'a', netns }),
    );
    assert.deepEqual([answer.code, answer.stdout], [1, '{"result":true}\n']);
  });

test('nothing of a later part is done where an earlier one was refused and had to be granted', async () => {
  const netns = await newNetns();
  const answer = await withAgent(
    async ask => {
      await ask(encodeProgram([step('sysctl', Buffer.from('ipv4/none\0' + '1'), true)], 'b'));
      const answers = decodeAnswers(await ask(encodeProgram([sysctl('ipv4/ip_forward', '1')]), 'P'));
      assert.deepEqual(answers.map(errno), [-2]);
      assert.deepEqual(
        decodeAnswers(await ask(encodeProgram([sysctl('ipv4/ip_forward', '1')]), 'D')).map(errno),
        [0],
        'the next program begins anew',
      );
      await ask(encodeResult(0, ''));
    },
    () => call('ADD', { id: 'a', netns }),
  );
  assert.equal(answer.code, 0);
});

test('settings of the host are the host’s, and then those of the pod the pod’s', async () => {
  const netns = await newNetns();
  const key = 'ipv4/conf/all/log_martians';
  const before = readFileSync(`/proc/sys/net/${key}`, 'utf8');
  await withAgent(
    async ask => {
      const both = [
        sysctl(key, '0'),
        step('hostSysctl', Buffer.from(`${key}\0${'1'}`)),
        sysctl('ipv4/conf/lo/log_martians', '1'),
      ];
      assert.deepEqual(decodeAnswers(await ask(encodeProgram(both), 'D')).map(errno), [0, 0, 0]);
      await ask(encodeResult(0, ''));
    },
    () => call('ADD', { id: 'a', netns }),
  );
  const host = readFileSync(`/proc/sys/net/${key}`, 'utf8').trim();
  writeFileSync(`/proc/sys/net/${key}`, before);
  const pod = (path: string) => inPod(netns, 'cat', `/proc/sys/net/${path}`);
  assert.equal(host, '1');
  assert.equal((await pod(key)).trim(), '0');
  assert.equal((await pod('ipv4/conf/lo/log_martians')).trim(), '1');
  assert.equal(readFileSync('/proc/sys/net/ipv4/conf/lo/log_martians', 'utf8').trim(), '0');
});

const lost: Readonly<Record<string, (socket: Socket) => unknown>> = {
  'closes the connection': socket => socket.end(),
  'drops it': socket => socket.destroy(),
  'sends a frame of no known type': socket => socket.write(encodeFrame('?', Buffer.from('x'))),
  'sends a frame of no length': socket => socket.write(Buffer.alloc(8)),
  'sends a frame of 4 GiB': socket => socket.write(Buffer.from([255, 255, 255, 255, 114, 0])),
  'ends within a frame': socket => socket.end(Buffer.from([0, 0, 1, 0, 114, 0])),
  'sends netlink before the namespace is entered': socket => socket.write(encodeFrame('n', Buffer.alloc(16))),
  'sends a result of nothing': socket => socket.write(encodeFrame('r')),
};

for (const [what, misbehave] of Object.entries(lost))
  test(`an agent that ${what}: CHECK says try again, DEL is kept`, async () => {
    const id = newId();
    const serve = async (_ask: Ask, socket: Socket): Promise<void> => void misbehave(socket);
    await withAgent(serve, async () => {
      const answer = await call('CHECK', { id, netns: '/x' });
      assert.deepEqual([answer.code, answer.json?.code], [1, 11], answer.stdout);
      assert.equal((await call('DEL', { id, netns: '/x' })).code, 0);
    });
    assert.ok(readdirSync(DEL_QUEUE_DIR).some(file => file.includes(id)));
    rmSync(DEL_QUEUE_DIR, { recursive: true });
  });

test('an agent that goes before it has begun: ADD turns to its successor', async () => {
  let calls = 0;
  const serve = async (ask: Ask, socket: Socket): Promise<void> => {
    calls += 1;
    if (calls < 4) socket.destroy();
    else await ask(encodeResult(0, ''));
  };
  const answer = await withAgent(serve, () => call('ADD', { id: newId(), netns: '/x' }));
  assert.deepEqual([answer.code, calls], [0, 4]);
});

test('an agent that goes when it has begun: ADD says try again, since something may be half made', async () => {
  const netns = await newNetns();
  let calls = 0;
  const serve = async (ask: Ask, socket: Socket): Promise<void> => {
    calls += 1;
    await ask(encodeFrame('o'), 'O');
    socket.destroy();
  };
  const answer = await withAgent(serve, () => call('ADD', { id: newId(), netns }));
  assert.deepEqual([answer.json?.code, calls], [11, 1]);
});

test('agents that go again and again: ADD gives up after 15 s', async () => {
  const serve = async (_ask: Ask, socket: Socket): Promise<void> => void socket.destroy();
  const answer = await withAgent(serve, () => call('ADD', { id: newId(), netns: '/x' }));
  assert.equal(answer.json?.code, 11);
  assert.ok(answer.ms > 14_000 && answer.ms < 60_000, `${answer.ms}`);
});

test('ADDs that wait while the agent stops are served by the next one', async () => {
  const first = await startBed({}, { reason: 'the Node is not known yet' });
  const waiting = [addPod(), addPod()];
  await sleep(300);
  await first.stop();
  const second = await startBed();
  const pods = await Promise.all(waiting);
  for (const pod of pods) assert.equal((await callPod('DEL', pod)).code, 0);
  await untilNothingRemains();
  await second.stop();
});

test('an agent that says nothing: STATUS has an answer within seconds', async () => {
  await withAgent(
    async () => {},
    async () => {
      const answer = await call('STATUS');
      assert.equal(answer.json?.code, 50);
      assert.ok(answer.ms < 10_000, `${answer.ms}`);
    },
  );
});

test('a socket that root does not own is no agent’s', async () => {
  await withAgent(
    ask => ask(encodeResult(0, 'false')).then(() => {}),
    async () => {
      chownSync(CNI_SOCKET, 1000, 1000);
      for (const command of ['ADD', 'DEL', 'CHECK', 'GC']) {
        const answer = await call(command, { id: newId(), netns: '/x' });
        assert.equal(answer.json?.code, 5, answer.stdout);
        assert.match(answer.json?.msg ?? '', /root/);
      }
    },
  );
  assert.deepEqual(existsSync(DEL_QUEUE_DIR) ? readdirSync(DEL_QUEUE_DIR) : [], []);
});
