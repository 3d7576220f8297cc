import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeAnswers,
  decodeHello,
  decodeNumber,
  decodePodFd,
  encodeFrame,
  encodeHello,
  encodeProgram,
  encodeResult,
  type Frame,
  MAX_FRAME,
  splitFrames,
} from '../../cni/wire.ts';
import { hello } from './hello.ts';

const frames = (bytes: Buffer): { readonly frames: readonly Frame[]; readonly rest: Buffer } => {
  const split = splitFrames(bytes);
  assert.ok(split.ok);
  return split.value;
};

test('hello survives the way, with NULs and newlines in stdin', () => {
  const sent = {
    ...hello({ CNI_ARGS: 'A=1;B=2=3' }),
    stdin: Buffer.from('{\0\n\u00fc}'),
    stdinUnreadable: true,
    knowsParts: true,
  };
  const got = decodeHello(encodeHello(sent));
  assert.deepEqual(got, { ok: true, value: sent });
});

test('hello that is cut off says where', () => {
  const bytes = encodeHello(hello());
  for (let length = 0; length < 5; length += 1)
    assert.deepEqual(decodeHello(bytes.subarray(0, length)), {
      ok: false,
      error: 'hello is shorter than its head',
    });
  assert.deepEqual(decodeHello(bytes.subarray(0, 20)), {
    ok: false,
    error: 'hello ends within the environment',
  });
});

test('frames are the same wherever the stream is cut', () => {
  const stream = Buffer.concat([
    encodeFrame('H', encodeHello(hello())),
    encodeFrame('o'),
    encodeProgram([{ kind: 'sysctl', must: false, bytes: Buffer.from('ipv4/ip_forward\0' + '1') }]),
    encodeResult(1, '{"code":7}\n'),
  ]);
  const whole = frames(stream);
  assert.deepEqual(
    whole.frames.map(frame => frame.type),
    ['H', 'o', 'p', 'r'],
  );
  for (let at = 0; at <= stream.length; at += 1) {
    const first = frames(stream.subarray(0, at));
    const second = frames(Buffer.concat([first.rest, stream.subarray(at)]));
    assert.deepEqual([...first.frames, ...second.frames], whole.frames, `cut at ${at}`);
    assert.equal(second.rest.length, 0);
  }
});

test('a frame of no length, and one above the limit, end the conversation', () => {
  for (const size of [0, MAX_FRAME + 1, 0xffffffff]) {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(size);
    assert.equal(splitFrames(head).ok, false, String(size));
  }
});

test('any frames come back as they were sent', () => {
  const shape = {
    type: fc.constantFrom('H', 'N', 'O', 'W', 'o', 'n', 'w', 'r'),
    payload: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  };
  const frame = fc.record(shape, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.uint8Array({ maxLength: 3 }), (sent, tail) => {
      const stream = Buffer.concat([...sent.map(f => encodeFrame(f.type, f.payload)), tail]);
      const got = frames(stream);
      assert.deepEqual(got.frames, sent);
      assert.deepEqual(got.rest, Buffer.from(tail));
    }),
  );
});

test('no bytes make a parser throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const buffer = Buffer.from(bytes);
      splitFrames(buffer);
      decodeHello(buffer);
      decodeAnswers(buffer);
      assert.equal(typeof decodeNumber(buffer), 'number');
    }),
  );
});

test('a number is a descriptor, an errno, or -EPROTO where it is none', () => {
  const number = (n: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(n);
    return bytes;
  };
  assert.equal(decodeNumber(number(4)), 4);
  assert.equal(decodeNumber(number(-2)), -2);
  assert.equal(decodeNumber(Buffer.alloc(3)), -71);
});

test('a program is its steps, each behind its kind, its condition and its length', () => {
  const bytes = Buffer.from('abc');
  const frame = encodeProgram([
    { kind: 'host', must: true, bytes },
    { kind: 'until', must: false, bytes: Buffer.alloc(0) },
  ]);
  assert.equal(frame.subarray(5).toString('hex'), '680100000003' + '616263' + '750000000000');
});

test('answers of a program come back step by step; what is cut off is left out', () => {
  const parts = [Buffer.from('abcd'), Buffer.alloc(0), Buffer.from('e')];
  const payload = Buffer.concat(
    parts.flatMap(part => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(part.length);
      return [head, part];
    }),
  );
  assert.deepEqual(decodeAnswers(payload), parts);
  assert.deepEqual(decodeAnswers(payload.subarray(0, -1)), parts.slice(0, 2));
});

test('a binary that says no second number knows no programs', () => {
  assert.equal(decodePodFd(Buffer.from('0000000400000005', 'hex')), 5);
  assert.equal(decodePodFd(Buffer.from('00000004', 'hex')), undefined);
});
