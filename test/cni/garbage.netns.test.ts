/** The agent against binaries that misbehave. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeFrame, encodeResult } from '../../cni/wire.ts';
import { CNI_SOCKET, RUN_DIR } from '../../constants.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, call, callPod, clean, makeBridge, newId, newNetns, startBed } from './bed.ts';
import { untilNothingRemains } from './remains.ts';

await enterLab(import.meta.filename);

before(async () => {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  await makeBridge();
});

after(clean);

const garbage: Readonly<Record<string, (socket: Socket) => unknown>> = {
  nothing: socket => socket.end(),
  zeros: socket => socket.end(Buffer.alloc(64)),
  'a length of 4 GiB': socket => socket.end(Buffer.alloc(16, 255)),
  'a hello that is too short': socket => socket.end(encodeFrame('H', Buffer.from([0]))),
  'a hello whose environment is longer than it': socket => socket.end(encodeFrame('H', Buffer.alloc(9, 255))),
  'an answer that nobody asked for': socket => socket.end(encodeFrame('O', Buffer.alloc(4))),
  'half a frame': socket => socket.end(encodeFrame('H', Buffer.alloc(100)).subarray(0, 40)),
  'netlink before hello': socket => socket.end(encodeFrame('N', Buffer.alloc(100, 1))),
  '200 kB of noise': socket =>
    socket.end(Buffer.from(Array.from({ length: 200_000 }, (_, n) => (n * 31) % 251))),
};

for (const [what, write] of Object.entries(garbage))
  test(`the agent survives a binary that sends ${what}`, async () => {
    const bed = await startBed();
    const sockets = Array.from({ length: 20 }, () => connect(CNI_SOCKET));
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.on('connect', () => write(socket));
    }
    await sleep(30);
    const pod = await addPod();
    assert.equal((await callPod('DEL', pod)).code, 0);
    for (const socket of sockets) socket.destroy();
    await untilNothingRemains();
    await bed.stop();
  });

test('a binary that trickles its hello is served like any other, and others meanwhile', async () => {
  const bed = await startBed();
  const pod = await addPod();
  const env = Buffer.from(`CNI_COMMAND=DEL\0CNI_CONTAINERID=${pod.id}\0CNI_IFNAME=eth0\0CNI_PATH=/x\0`);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(env.length, 1);
  const conf = Buffer.from('{"cniVersion":"1.1.0","name":"weft"}');
  const bytes = encodeFrame('H', Buffer.concat([head, env, conf]));
  const socket = connect(CNI_SOCKET);
  const answer: Buffer[] = [];
  socket.on('data', chunk => answer.push(chunk));
  const closed = new Promise(resolve => socket.once('close', resolve));
  for (const [n, byte] of bytes.subarray(0, -1).entries()) {
    socket.write(Buffer.from([byte]));
    if (n % 20 === 0) await sleep(1);
  }
  const meanwhile = await addPod();
  assert.equal((await callPod('DEL', meanwhile)).code, 0);
  socket.write(bytes.subarray(-1));
  await closed;
  assert.deepEqual(Buffer.concat(answer), encodeResult(0, ''));
  await untilNothingRemains();
  await bed.stop();
});

test('ADD fails and is undone when the pod’s kernel is out of reach in the middle', async () => {
  const bed = await startBed({ beforeAnswer: () => Promise.reject(new Error('no')) });
  for (let n = 0; n < 5; n++)
    assert.equal((await call('ADD', { id: newId(), netns: await newNetns() })).json?.code, 5);
  await untilNothingRemains();
  assert.deepEqual(
    bed.cni.stats().pools.map(pool => pool.used),
    [0, 0],
  );
  await bed.stop();
});
