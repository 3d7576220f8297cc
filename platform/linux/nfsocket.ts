/** The nfnetlink socket by which set elements are changed. */
import { getSystemErrorName } from 'node:util';
import { Protocol, RawNetlinkSocket } from 'netlink';
import { netlinkDescriptor, receiveNow } from './descriptor.ts';
import { LinuxError } from './errors.ts';
import { limited } from './limit.ts';
import { type Ack, type ElementRun, elementRuns, encodeBatch, parseAcks, type TableRuns } from './nfset.ts';
import { openSharing } from './nfshare.ts';
import type { ElementChange, NftFamily } from './types.ts';

export type SetElements = {
  /**
   * All or nothing, up to 2,000 elements (larger lists go in several batches, one after the other).
   * Rejects with LinuxError: ENOENT for a set or, on delete, an element that is not there.
   */
  readonly change: (family: NftFamily, table: string, changes: readonly ElementChange[]) => Promise<void>;
  readonly close: () => void;
};

type Waiting = { over: boolean; readonly done: (error?: LinuxError) => void };

const TIMEOUT_MS = 5_000;

/** Elements of one batch: well under the 212,992 bytes that a socket's send buffer has by default. */
const BATCH_LIMIT = 2_000;

/** Elements of a batch beside which others may be under way: those of a pod are a dozen. */
const SMALL = 64;
const SMALL_AT_ONCE = 8;

const failed = (code: string, cause?: unknown): LinuxError =>
  new LinuxError(code, `nft set elements: ${code}`, cause);

/** Runs as batches of at most BATCH_LIMIT elements. */
function batchesOf(runs: readonly ElementRun[]): readonly (readonly ElementRun[])[] {
  const batches: ElementRun[][] = [];
  let room = 0;
  for (const run of runs) {
    if (run.elements.length > room) {
      batches.push([]);
      room = BATCH_LIMIT;
    }
    batches.at(-1)?.push(run);
    room -= run.elements.length;
  }
  return batches;
}

/** Opens the socket in this process's network namespace, by a port of `nextPort`. Changes may overlap in time. */
export function openSetElements(nextPort: () => number): SetElements {
  const waiting = new Map<number, Waiting>();
  let seq = 1;

  const onAck = ({ seq: number, errno }: Ack): void =>
    waiting.get(number)?.done(errno === 0 ? undefined : failed(getSystemErrorName(errno)));

  /** Whoever waits for an answer would wait in vain. */
  const failAll = (code: string): void => {
    for (const one of new Set(waiting.values())) one.done(failed(code));
  };

  let descriptor: number | undefined;
  const open = (): RawNetlinkSocket => {
    const localPort = nextPort();
    const made = new RawNetlinkSocket(Protocol.NETFILTER, {
      localPort,
      recvBufferSize: 1 << 20,
      sendBufferSize: 1 << 20,
    });
    made.unref();
    descriptor = netlinkDescriptor(Protocol.NETFILTER, localPort);
    made.on('message', bytes => parseAcks(bytes).forEach(onAck));
    // The package closes a socket after an error.
    made.on('error', error => {
      socket = open();
      failAll(error.code);
    });
    return made;
  };
  let socket = open();

  /** Most often all of it is there. What is not comes by the event loop, as it does after an error. */
  const receive = (one: Waiting): void => {
    try {
      while (!one.over && descriptor !== undefined) {
        const bytes = receiveNow(descriptor);
        if (bytes === undefined) return;
        parseAcks(bytes).forEach(onAck);
      }
    } catch (error) {
      failAll((error as NodeJS.ErrnoException).code ?? 'EIO');
    }
  };

  const send = (tables: readonly TableRuns[]): Promise<void> => {
    const first = seq;
    const count = tables.reduce((sum, { runs }) => sum + runs.length, 0);
    const numbers = Array.from({ length: count + 2 }, (_, n) => first + n);
    seq += numbers.length;
    return new Promise((resolve, reject) => {
      const done = (error?: LinuxError): void => {
        one.over = true;
        clearTimeout(timer);
        for (const number of numbers) waiting.delete(number);
        if (error === undefined) resolve();
        else reject(error);
      };
      let timer: NodeJS.Timeout | undefined;
      const late = (): void =>
        done(new LinuxError('ETIMEDOUT', 'nft set elements: the kernel did not answer'));
      const one: Waiting = { over: false, done };
      for (const number of numbers) waiting.set(number, one);
      socket.send(encodeBatch(tables, first), undefined, error => {
        if (error) done(failed(error.code, error));
      });
      receive(one);
      if (!one.over) timer = setTimeout(late, TIMEOUT_MS);
    });
  };

  // A refusal repeats the whole batch, so that two large ones might overflow the receive buffer.
  const [small, large] = [limited(SMALL_AT_ONCE), limited(1)];
  const share = openSharing(tables => small(() => send(tables)));

  const change: SetElements['change'] = async (family, table, changes) => {
    if (changes.length <= SMALL) return share({ family, table, runs: elementRuns(changes) });
    for (const runs of batchesOf(elementRuns(changes))) await large(() => send([{ family, table, runs }]));
  };
  const close = (): void => {
    descriptor = undefined;
    socket.close();
  };
  return { change, close };
}
