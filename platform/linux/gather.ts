/**
 * Changes that are gathered instead of sent: netlink messages and sysctls in one
 * list of steps, which whoever owns the sockets works off without a pause between them. The verbs
 * are the usual ones, each with a promise of its own; the answers come for all at once.
 */
import { getSystemErrorName } from 'node:util';
import { lengthOf, writeAll } from './attrs.ts';
import { LinuxError } from './errors.ts';
import type { Rtnl } from './rtnl.ts';

export type StepKind = 'pod' | 'host' | 'sysctl' | 'hostSysctl' | 'podLook' | 'hostLook' | 'until';

/** What is asked, and which byte of the answer must be what for it to count as granted. */
type Question = (
  offset: number,
  value: number,
  ...request: Parameters<Rtnl['get']>
) => ReturnType<Rtnl['get']>;

export type Step = {
  readonly kind: StepKind;
  /** Nothing follows where it is refused. */
  readonly must: boolean;
  readonly bytes: Buffer;
};

export type Gathering = {
  /** The pod's kernel and the host's. What is asked is answered when the steps were worked off. */
  readonly pod: Rtnl;
  readonly host: Rtnl;
  /** Path below the pod's /proc/sys/net. Resolves to the error number, 0 where it was written. */
  readonly sysctl: (path: string, value: string) => Promise<number>;
  /** The same below the host's. */
  readonly hostSysctl: (path: string, value: string) => Promise<number>;
  /** Asks the pod's kernel again and again, for ten seconds, until the answer is as wanted. */
  readonly until: Question;
  /** Asks once. */
  readonly podLook: Question;
  readonly hostLook: Question;
  /** What was gathered last is a condition of all that follows. */
  readonly barrier: () => void;
  /** What was gathered since it was taken last; what follows is a step of its own. */
  readonly take: () => readonly Step[];
  /** How many steps were taken. */
  readonly taken: () => number;
  /** Answers to all that was taken, step by step, as far as the steps were worked off. Everything is settled then. */
  readonly deliver: (answers: readonly Buffer[]) => void;
  /** Nobody will answer. */
  readonly fail: (error: Error) => void;
};

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;

type Waiter = {
  readonly what: string;
  readonly resolve: (data: Buffer | undefined) => void;
  readonly reject: (error: Error) => void;
};

type Open = {
  kind: StepKind;
  must: boolean;
  readonly parts: Buffer[];
  readonly waiters: Map<number, Waiter>;
};

const errorOf = (what: string, errno: number): LinuxError => {
  const code = getSystemErrorName(errno);
  return new LinuxError(code, `${what}: ${code}`);
};

function encode(type: number, flags: number, seq: number, payload: readonly Uint8Array[]): Buffer {
  const length = 16 + lengthOf(payload);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | NLM_F_REQUEST, 6);
  bytes.writeUInt32LE(seq, 8);
  bytes.writeUInt32LE(0, 12);
  writeAll(bytes, 16, payload);
  return bytes;
}

/** Netlink answers of one step to those who wait for them; a refused batch has one for all. */
function settle(step: Open, answers: Buffer): void {
  for (let at = 0; at + 16 <= answers.length; ) {
    const length = answers.readUInt32LE(at);
    if (length < 16 || at + length > answers.length) break;
    const seq = answers.readUInt32LE(at + 8);
    const waiter = step.waiters.get(seq);
    step.waiters.delete(seq);
    if (answers.readUInt16LE(at + 4) !== NLMSG_ERROR) waiter?.resolve(answers.subarray(at + 16, at + length));
    else {
      const errno = answers.readInt32LE(at + 16);
      if (errno === 0) waiter?.resolve(undefined);
      else waiter?.reject(errorOf(waiter.what, errno));
    }
    at += (length + 3) & ~3;
  }
}

const unanswered = ({ what }: Waiter): LinuxError =>
  new LinuxError('ECANCELED', `${what}: not done, since what came before it was refused`);

export function newGathering(): Gathering {
  const all: Open[] = [];
  let seq = 1;
  let closed = true;
  let taken = 0;

  const stepFor = (kind: StepKind, apart: boolean): Open => {
    const last = all.at(-1);
    if (last !== undefined && !closed && !apart && last.kind === kind) return last;
    const step: Open = { kind, must: false, parts: [], waiters: new Map() };
    all.push(step);
    closed = apart;
    return step;
  };

  const wait = (step: Open, number: number, what: string): Promise<Buffer | undefined> =>
    new Promise((resolve, reject) => step.waiters.set(number, { what, resolve, reject }));

  const ask = (
    kind: StepKind,
    what: string,
    type: number,
    flags: number,
    payload: readonly Uint8Array[],
    head?: Buffer,
  ): Promise<Buffer | undefined> => {
    const step = stepFor(kind, head !== undefined);
    const number = seq++;
    if (head !== undefined) step.parts.push(head);
    step.parts.push(encode(type, flags, number, payload));
    return wait(step, number, what);
  };

  const rtnl = (kind: 'pod' | 'host'): Rtnl => ({
    change: async (what, type, flags, payload) => {
      await ask(kind, what, type, flags | NLM_F_ACK, payload);
    },
    get: (what, type, payload) => ask(kind, what, type, 0, payload),
    dump: what => Promise.reject(new LinuxError('EOPNOTSUPP', `${what}: a list cannot be gathered`)),
    changes: () => 0,
    close: () => {},
  });

  const finish = (step: Open, answers: Buffer | undefined): void => {
    if (answers?.length === 4) {
      const errno = answers.readInt32BE();
      for (const waiter of step.waiters.values())
        if (step.kind === 'sysctl' || step.kind === 'hostSysctl') waiter.resolve(answers);
        else waiter.reject(errorOf(waiter.what, errno));
      step.waiters.clear();
    } else if (answers !== undefined) settle(step, answers);
    for (const waiter of step.waiters.values()) waiter.reject(unanswered(waiter));
  };

  const write =
    (kind: 'sysctl' | 'hostSysctl'): Gathering['sysctl'] =>
    async (path, value) => {
      const step = stepFor(kind, true);
      step.parts.push(Buffer.from(`${path}\0${value}`));
      return (await wait(step, 0, `write ${path}`))?.readInt32BE() ?? 0;
    };

  const question =
    (kind: 'until' | 'podLook' | 'hostLook'): Question =>
    (offset, value, what, type, payload) =>
      ask(kind, what, type, 0, payload, Buffer.from([offset >> 8, offset & 255, value]));

  const take = (): readonly Step[] => {
    const fresh = all.slice(taken);
    taken = all.length;
    closed = true;
    return fresh.map(({ kind, must, parts }) => ({
      kind,
      must,
      bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts),
    }));
  };

  return {
    pod: rtnl('pod'),
    host: rtnl('host'),
    sysctl: write('sysctl'),
    hostSysctl: write('hostSysctl'),
    until: question('until'),
    podLook: question('podLook'),
    hostLook: question('hostLook'),
    barrier: () => {
      const last = all.at(-1);
      if (last !== undefined) last.must = true;
      closed = true;
    },
    take,
    taken: () => taken,
    deliver: answers => {
      for (const [n, step] of all.entries()) finish(step, answers[n]);
    },
    fail: error => {
      for (const step of all) for (const waiter of step.waiters.values()) waiter.reject(error);
    },
  };
}
