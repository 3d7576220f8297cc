/** One call of the CNI binary, from hello to result, over its connection. */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Gathering } from '../platform/linux/gather.ts';
import type { Rtnl } from '../platform/linux/rtnl.ts';
import { CniError, CODES } from './errors.ts';
import { openRemote } from './remote.ts';
import {
  decodeAnswers,
  decodeHello,
  decodeNumber,
  decodePodFd,
  encodeFrame,
  encodeProgram,
  encodeResult,
  type Frame,
  type Hello,
  splitFrames,
} from './wire.ts';

export type PodSide = {
  /** The pod's kernel. */
  readonly rt: Rtnl;
  /** Number of the pod namespace's descriptor in the binary, for IFLA_NET_NS_FD. */
  readonly podFd: number;
  /** Has the binary work off what was gathered; resolves when it has, whatever came of it. Rejects with CniError. */
  readonly run: (gathering: Gathering) => Promise<void>;
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

/** Answers come in the order of the questions. O may come before it is asked for, and is kept. */
function replies() {
  const waiters: { readonly type: string; readonly waiter: Waiter }[] = [];
  let early: Buffer | undefined;
  const expect = (type: string): Promise<Buffer> =>
    new Promise<Buffer>((resolve, reject) => waiters.push({ type, waiter: { resolve, reject } }));
  const expectSoon = (type: string): Promise<Buffer> => {
    const timer = setTimeout(() => failAll(silent()), REPLY_MS);
    return expect(type).finally(() => clearTimeout(timer));
  };
  const take = ({ type, payload }: Frame): void => {
    const at = waiters.findIndex(w => w.type === type);
    if (at < 0 && type === 'O') early = payload;
    waiters.splice(at, at < 0 ? 0 : 1)[0]?.waiter.resolve(payload);
  };
  const failAll = (error: Error): void => {
    for (const { waiter } of waiters.splice(0)) waiter.reject(error);
  };
  return { expect, expectSoon, take, failAll, early: () => early };
}

const older = (): CniError =>
  new CniError(
    CODES.tryLater,
    'this CNI binary is older than the agent',
    'the agent puts its own in place as soon as it is ready; the runtime will try again',
  );

/** Takes the connection over. Malformed, slow or cut-off input fails this call and no other. */
export function openSession(socket: Socket): Session {
  const { expect, expectSoon, take, failAll, early } = replies();
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

  const run: PodSide['run'] = async gathering => {
    const reply = expectSoon('P');
    write(encodeProgram(gathering.steps()));
    try {
      gathering.deliver(decodeAnswers(await reply));
    } catch (error) {
      gathering.fail(error as Error);
      throw error;
    }
  };

  const where = (): Promise<Buffer> => {
    const reply = expectSoon('O');
    write(encodeFrame('o'));
    return reply;
  };

  const enter = async (): Promise<PodSide> => {
    const payload = early() ?? (await where());
    const errno = decodeNumber(payload);
    if (errno < 0) throw openError(errno);
    const podFd = decodePodFd(payload);
    if (podFd === undefined) throw older();
    return { rt: remote.rt, podFd, run, lost };
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
