import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openRemote } from '../../cni/remote.ts';

/** NLMSG_ERROR with errno, for the request in `bytes`. */
const answer = (bytes: Buffer, errno: number): Buffer => {
  const reply = Buffer.alloc(36);
  reply.writeUInt32LE(36, 0);
  reply.writeUInt16LE(2, 4);
  reply.writeUInt32LE(bytes.readUInt32LE(8), 8);
  reply.writeInt32LE(errno, 16);
  return reply;
};

const { promise: never } = Promise.withResolvers<never>();

test('answers find their questions, in any order, one message or many at once', async () => {
  const sent: Buffer[] = [];
  const remote = openRemote(bytes => void sent.push(bytes), never);
  const work = [1, 2, 3].map(n => remote.rt.change(`change ${n}`, 16, 0, []));
  assert.equal(sent.length, 3);
  const [a, b, c] = sent as [Buffer, Buffer, Buffer];
  remote.deliver(Buffer.concat([answer(c, 0), answer(a, -17)]));
  remote.deliver(answer(b, 0));
  await assert.rejects(work[0] as Promise<void>, { code: 'EEXIST', message: /change 1/ });
  await Promise.all(work.slice(1));
});

test('when the binary is gone, what was asked and what is asked later is rejected, and no timer stays', async () => {
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const remote = openRemote(() => {}, lost.promise);
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
  const before = timers();
  const work = remote.rt.change('change', 16, 0, []);
  assert.equal(timers(), before + 1);
  lost.reject(new Error('the binary is gone'));
  await assert.rejects(work, /the binary is gone/);
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(timers(), before);
  await assert.rejects(remote.rt.change('change', 16, 0, []), /the binary is gone/);
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(timers(), before);
});

test('no bytes from the other side make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
      const lost = Promise.withResolvers<never>();
      const remote = openRemote(() => {}, lost.promise);
      remote.rt.change('change', 16, 0, []).catch(() => {});
      remote.deliver(Buffer.from(bytes));
      lost.reject(new Error('the binary is gone'));
    }),
  );
});
