/** One call of the CNI binary, from hello to result, over its connection. */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Gathering } from '../platform/linux/gather.ts';
import type { Rtnl } from '../platform/linux/rtnl.ts';
import { CniError, CODES } from './errors.ts';
import { openRemote, type Remote } from './remote.ts';
import {
  decodeAnswers,
  decodeHello,
  decodeNumber,
  decodePodFd,
  encodeFrame,
  encodePromise,
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
  /** Has the binary begin with a part of a program, at once; it is answered with the rest. */
  readonly begin: (frame: Buffer) => void;
  /**
   * The last part, after which all parts get their answers: `gatherings` are what was begun and this, in this order.
   * `promise` is the result of a call of which nothing is left to do but this: the binary prints it by itself where every
   * step was granted, and otherwise waits for `finish`. Resolves when it is worked off, whatever came of it. Rejects
   * with CniError.
   */
  readonly run: (gatherings: readonly Gathering[], frame: Buffer, promise?: string) => Promise<void>;
  /** Rejects when the binary is gone. */
  readonly lost: Promise<never>;
};

export type Session = {
  readonly hello: Promise<Hello>;
  /** Enters CNI_NETNS. Rejects with CniError where it is not there or is the host's own. */
  readonly enter: () => Promise<PodSide>;
  /** The same where it needs no question; undefined also where it is not possible. */
  readonly entered: () => PodSide | undefined;
  readonly finish: (exit: number, stdout: string) => void;
  /** Whether the binary has got a promise that holds, and so needs no other answer. */
  readonly answered: () => boolean;
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
  let ended: Error | undefined;
  let early: Buffer | undefined;
  const expect = (type: string): Promise<Buffer> =>
    new Promise<Buffer>((resolve, reject) => {
      if (ended === undefined) waiters.push({ type, waiter: { resolve, reject } });
      else reject(ended);
    });
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
  const end = (error: Error): void => {
    ended = error;
    failAll(error);
  };
  return { expect, expectSoon, take, end, early: () => early };
}

const older = (): CniError =>
  new CniError(
    CODES.tryLater,
    'this CNI binary is older than the agent',
    'the agent puts its own in place as soon as it is ready; the runtime will try again',
  );

/** Takes the connection over. Malformed, slow or cut-off input fails this call and no other. */
export function openSession(socket: Socket): Session {
  const { expect, expectSoon, take, end, early } = replies();
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
  let opened: Remote | undefined;
  /** Most calls of ADD need none. */
  const remote = (): Remote => {
    opened ??= openRemote(bytes => write(encodeFrame('n', bytes)), lost);
    return opened;
  };
  const helloFrame = expect('H');
  let knowsParts = false;
  let promised = false;
  let printed = false;

  const onFrame = ({ type, payload }: Frame): void => {
    if (type === 'D') printed = promised;
    if (type === 'N') remote().deliver(payload);
    else take({ type: type === 'D' ? 'P' : type, payload });
  };
  socket.on('data', chunk => {
    const split = splitFrames(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    if (!split.ok) return void socket.destroy(new Error(split.error));
    rest = split.value.rest;
    for (const frame of split.value.frames) onFrame(frame);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    const error = gone();
    end(error);
    lose(error);
    close();
  });
  socket.setTimeout(REPLY_MS, () => socket.destroy());

  const hello = helloFrame.then(payload => {
    // From here on the agent's own work may take its time.
    socket.setTimeout(0);
    const decoded = decodeHello(payload);
    if (!decoded.ok) throw new CniError(CODES.io, decoded.error);
    knowsParts = decoded.value.knowsParts;
    return decoded.value;
  });
  hello.catch(() => socket.destroy());

  /** Without the wait for the end of the tick: the binary works while we go on. */
  const writeNow = (frame: Buffer): void => {
    if (socket.writable) socket.write(frame);
  };

  const run: PodSide['run'] = async (gatherings, frame, promise) => {
    const reply = expectSoon('P');
    promised = promise !== undefined;
    writeNow(promise === undefined ? frame : Buffer.concat([frame, encodePromise(promise)]));
    try {
      let answers = decodeAnswers(await reply);
      for (const one of gatherings) {
        one.deliver(answers);
        answers = answers.slice(one.taken());
      }
    } catch (error) {
      for (const one of gatherings) one.fail(error as Error);
      throw error;
    }
  };

  const where = (): Promise<Buffer> => {
    const reply = expectSoon('O');
    write(encodeFrame('o'));
    return reply;
  };

  const podSide = (payload: Buffer): PodSide => {
    const errno = decodeNumber(payload);
    if (errno < 0) throw openError(errno);
    const podFd = decodePodFd(payload);
    if (podFd === undefined || !knowsParts) throw older();
    return {
      get rt() {
        return remote().rt;
      },
      podFd,
      begin: writeNow,
      run,
      lost,
    };
  };

  const enter = async (): Promise<PodSide> => podSide(early() ?? (await where()));

  const entered = (): PodSide | undefined => {
    const payload = early();
    return payload === undefined || decodeNumber(payload) < 0 || !knowsParts ? undefined : podSide(payload);
  };

  const finish = (exit: number, stdout: string): void => {
    if (printed) socket.end();
    else if (socket.writable) socket.end(encodeResult(exit, stdout));
  };
  return {
    hello,
    enter,
    entered,
    finish,
    answered: () => printed,
    afterwards: message => write(encodeFrame('x', message)),
    gone: () => !socket.writable,
    closed,
  };
}
