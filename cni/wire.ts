/**
 * The frames between the CNI binary and the agent. Pure. The other end is cni/shim/agent.c, and program.c for programs.
 *
 * A frame: 4 bytes length of the rest, big endian; 1 byte type; payload.
 *
 *   binary → agent  H hello: 1 byte flags (1: stdin unreadable; 2: knows b, i and D), 4 bytes length of the
 *                     environment, NAME=VALUE each ended by NUL, then stdin to the end
 *                   N netlink bytes from the pod's kernel
 *                   O number of the host namespace's descriptor, or -errno, and of the pod's (4 bytes each);
 *                     comes unasked with the hello of ADD, DEL and CHECK
 *                   P what each step of a program was answered, behind 4 bytes of its length: netlink
 *                     bytes, or 4 bytes with 0 or -errno
 *                   D the same, where every step was granted, or asked for a setting that is not there
 *   agent → binary  o enter CNI_NETNS and open a netlink socket there
 *                   n netlink bytes for the pod's kernel
 *                   p a program, or its last part: steps of 1 byte kind, 1 byte (1: nothing follows where it
 *                     is refused), 4 bytes length, bytes. Kinds: n netlink bytes for the pod's kernel, h for
 *                     the host's, f for the host's nftables; w path below the pod's /proc/sys/net, NUL, value,
 *                     W below the host's; l as n and L as h, but a question, behind an offset (2 bytes) and
 *                     the byte that the answer must have there to be granted; u as l, repeated until it has
 *                   b a part of a program before its last: worked off at once, answered with the last
 *                   i as r, printed as soon as the program before it is worked off, where every step was
 *                     granted; otherwise it is as if it had not come
 *                   x netlink bytes for the pod's kernel once the answer is out: a child sends them,
 *                     and the connection is closed when they are worked off
 *                   r result: 1 byte exit status, then stdout to the end
 */
import type { Step, StepKind } from '../platform/linux/gather.ts';
import type { Result } from '../types.ts';

export type Frame = { readonly type: string; readonly payload: Buffer };

/** Above a hello with 1 MiB of stdin; more is refused before it is kept. */
export const MAX_FRAME = 2 << 20;

/** Its payload, from 5, is the caller's to write. */
function beginFrame(type: string, length: number): Buffer {
  const frame = Buffer.allocUnsafe(5 + length);
  frame.writeUInt32BE(length + 1);
  frame.write(type, 4, 'latin1');
  return frame;
}

export function encodeFrame(type: string, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const frame = beginFrame(type, payload.length);
  frame.set(payload, 5);
  return frame;
}

export const encodeResult = (exit: number, stdout: string): Buffer =>
  encodeFrame('r', Buffer.concat([Buffer.from([exit]), Buffer.from(stdout)]));

const KINDS: Readonly<Record<StepKind, string>> = {
  pod: 'n',
  host: 'h',
  sysctl: 'w',
  hostSysctl: 'W',
  podLook: 'l',
  hostLook: 'L',
  until: 'u',
};

export const encodePromise = (stdout: string): Buffer =>
  encodeFrame('i', Buffer.concat([Buffer.from([0]), Buffer.from(stdout)]));

/** `b`: more of it follows. */
export function encodeProgram(steps: readonly Step[], type: 'p' | 'b' = 'p'): Buffer {
  let length = 0;
  for (const { bytes } of steps) length += 6 + bytes.length;
  const frame = beginFrame(type, length);
  let at = 5;
  for (const { kind, must, bytes } of steps) {
    frame.write(KINDS[kind], at, 'latin1');
    frame.writeUInt8(Number(must), at + 1);
    frame.writeUInt32BE(bytes.length, at + 2);
    frame.set(bytes, at + 6);
    at += 6 + bytes.length;
  }
  return frame;
}

/** Payload of P and D: answers of the steps that were worked off. What is cut off is left out. */
export function decodeAnswers(payload: Buffer): readonly Buffer[] {
  const answers: Buffer[] = [];
  for (let at = 0; at + 4 <= payload.length; ) {
    const end = at + 4 + payload.readUInt32BE(at);
    if (end > payload.length) break;
    answers.push(payload.subarray(at + 4, end));
    at = end;
  }
  return answers;
}

/** The first number of O. */
export const decodeNumber = (payload: Buffer): number => (payload.length >= 4 ? payload.readInt32BE() : -71);

/** The second number of O; undefined from a binary that knows no programs. */
export const decodePodFd = (payload: Buffer): number | undefined =>
  payload.length >= 8 ? payload.readInt32BE(4) : undefined;

export type Hello = {
  readonly env: ReadonlyMap<string, string>;
  readonly stdin: Buffer;
  readonly stdinUnreadable: boolean;
  /** Whether the binary knows parts of programs and promised results. */
  readonly knowsParts: boolean;
};

/** Payload of H, which is also the form of a DEL that was kept for us. */
export function decodeHello(payload: Buffer): Result<Hello> {
  if (payload.length < 5) return { ok: false, error: 'hello is shorter than its head' };
  const end = 5 + payload.readUInt32BE(1);
  if (end > payload.length) return { ok: false, error: 'hello ends within the environment' };
  const pairs = payload.subarray(5, end).toString().split('\0').filter(Boolean);
  const env = new Map(
    pairs.map(pair => {
      const at = pair.indexOf('=');
      return [pair.slice(0, Math.max(at, 0)), pair.slice(at + 1)] as const;
    }),
  );
  const flags = payload.readUInt8(0);
  const value = { env, stdin: payload.subarray(end), stdinUnreadable: (flags & 1) !== 0 };
  return { ok: true, value: { ...value, knowsParts: (flags & 2) !== 0 } };
}

/** Hello as the binary writes it; for tests and for tools. */
export function encodeHello({ env, stdin, stdinUnreadable, knowsParts }: Hello): Buffer {
  const text = Buffer.from([...env].map(([name, value]) => `${name}=${value}\0`).join(''));
  const head = Buffer.alloc(5);
  head[0] = Number(stdinUnreadable) | (knowsParts ? 2 : 0);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text, stdin]);
}

export type Split = { readonly frames: readonly Frame[]; readonly rest: Buffer };

/** Whole frames at the front of a stream, and what is left; an error where no frame can follow. */
export function splitFrames(bytes: Buffer): Result<Split> {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const size = bytes.readUInt32BE(at);
    if (size < 1 || size > MAX_FRAME) return { ok: false, error: `a frame of ${size} bytes is not possible` };
    if (bytes.length - at < 4 + size) break;
    const type = bytes.toString('latin1', at + 4, at + 5);
    frames.push({ type, payload: bytes.subarray(at + 5, at + 4 + size) });
    at += 4 + size;
  }
  return { ok: true, value: { frames, rest: bytes.subarray(at) } };
}
