/** One call of the CNI binary, from hello to result, over its connection. */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Rtnl } from '../platform/linux/rtnl.ts';
import { CniError, CODES } from './errors.ts';
import { openRemote } from './remote.ts';
import {
  decodeHello,
  decodeNumber,
  encodeFrame,
  encodeResult,
  encodeSysctl,
  type Frame,
  type Hello,
  splitFrames,
} from './wire.ts';

export type PodSide = {
  /** The pod's kernel. */
  readonly rt: Rtnl;
  /** Number of the host namespace's descriptor in the binary, for IFLA_NET_NS_FD. */
  readonly hostFd: number;
  /** Writes below /proc/sys/net of the pod. Rejects with CniError. */
  readonly sysctl: (path: string, value: string) => Promise<void>;
  /** Rejects when the binary is gone. */
  readonly lost: Promise<never>;
};

export type Session = {
  readonly hello: Promise<Hello>;
  /** Enters CNI_NETNS. Rejects with CniError where it is not there or is the host's own. */
  readonly enter: () => Promise<PodSide>;
  readonly finish: (exit: number, stdout: string) => void;
  /** Netlink bytes that the binary sends in the pod's namespace after it has answered. */
  readonly afterwards: (message: Buffer) => void;
  /** Whether nobody will read the answer. */
  readonly gone: () => boolean;
  /** Resolves when the connection is closed, and what had to be done afterwards with it. */
  readonly closed: Promise<void>;
};

/** A binary that says nothing more, or a pod's kernel that does not answer: the call has failed. */
const REPLY_MS = 20_000;

type Waiter = { readonly resolve: (payload: Buffer) => void; readonly reject: (error: Error) => void };

const gone = (): CniError => new CniError(CODES.io, 'the CNI binary ended before its call did');

const silent = (): CniError =>
  new CniError(CODES.io, `the CNI binary did not answer within ${REPLY_MS / 1000} s`, 'is it stopped?');

const openError = (errno: number): CniError => {
  const code = getSystemErrorName(errno);
  if (code === 'EXDEV')
    return new CniError(
      CODES.invalidNetns,
      'CNI_NETNS is the host’s own network namespace',
      'a pod needs its own',
    );
  return new CniError(CODES.io, `cannot enter CNI_NETNS: ${code}`, 'is the sandbox gone?');
};

/** Answers to O and W come in the order of the questions. */
function replies() {
  const waiters: { readonly type: string; readonly waiter: Waiter }[] = [];
  const expect = (type: string): Promise<Buffer> =>
    new Promise<Buffer>((resolve, reject) => waiters.push({ type, waiter: { resolve, reject } }));
  const expectSoon = (type: string): Promise<Buffer> => {
    const timer = setTimeout(() => failAll(silent()), REPLY_MS);
    return expect(type).finally(() => clearTimeout(timer));
  };
  const take = ({ type, payload }: Frame): void => {
    const at = waiters.findIndex(w => w.type === type);
    waiters.splice(at, at < 0 ? 0 : 1)[0]?.waiter.resolve(payload);
  };
  const failAll = (error: Error): void => {
    for (const { waiter } of waiters.splice(0)) waiter.reject(error);
  };
  return { expect, expectSoon, take, failAll };
}

/** Takes the connection over. Malformed, slow or cut-off input fails this call and no other. */
export function openSession(socket: Socket): Session {
  const { expect, expectSoon, take, failAll } = replies();
  let rest: Buffer = Buffer.alloc(0);
  let corked = false;
  const write = (frame: Buffer): void => {
    if (!socket.writable) return;
    // Frames of one tick go out together: each write wakes the binary, and with it the other core.
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    socket.write(frame);
  };
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  lost.catch(() => {});
  const remote = openRemote(bytes => write(encodeFrame('n', bytes)), lost);
  const helloFrame = expect('H');

  const onFrame = (frame: Frame): void => (frame.type === 'N' ? remote.deliver(frame.payload) : take(frame));
  socket.on('data', chunk => {
    const split = splitFrames(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    if (!split.ok) return void socket.destroy(new Error(split.error));
    rest = split.value.rest;
    for (const frame of split.value.frames) onFrame(frame);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    failAll(gone());
    lose(gone());
    close();
  });
  socket.setTimeout(REPLY_MS, () => socket.destroy());

  const hello = helloFrame.then(payload => {
    // From here on the agent's own work may take its time.
    socket.setTimeout(0);
    const decoded = decodeHello(payload);
    if (!decoded.ok) throw new CniError(CODES.io, decoded.error);
    return decoded.value;
  });
  hello.catch(() => socket.destroy());

  const sysctl = async (path: string, value: string): Promise<void> => {
    const reply = expectSoon('W');
    write(encodeSysctl(path, value));
    const errno = decodeNumber(await reply);
    // A pod without IPv6 has no such key, and does not need it.
    if (errno < 0 && getSystemErrorName(errno) !== 'ENOENT')
      throw new CniError(CODES.io, `cannot write ${path}=${value} in the pod: ${getSystemErrorName(errno)}`);
  };

  const enter = async (): Promise<PodSide> => {
    const reply = expectSoon('O');
    write(encodeFrame('o'));
    const hostFd = decodeNumber(await reply);
    if (hostFd < 0) throw openError(hostFd);
    return { rt: remote.rt, hostFd, sysctl, lost };
  };

  const finish = (exit: number, stdout: string): void => {
    if (socket.writable) socket.end(encodeResult(exit, stdout));
  };
  return {
    hello,
    enter,
    finish,
    afterwards: message => write(encodeFrame('x', message)),
    gone: () => !socket.writable,
    closed,
  };
}
