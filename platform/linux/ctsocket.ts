/** The socket by which remembered connections are read and removed. */
import { getSystemErrorName } from 'node:util';
import { Protocol, RawNetlinkSocket } from 'netlink';
import { encodeFlowDelete, encodeFlowDump, type Flow, type FlowNews, parseFlowNews } from './ctflow.ts';
import { LinuxError } from './errors.ts';

export type Flows = {
  /**
   * All connections of both families for which `keep` holds. `among`: what the kernel sends of those that it can hold for
   * has one of these bytes in it; of the others, which may be many, most are then not taken apart. Rejects with LinuxError.
   */
  readonly list: (keep: (flow: Flow) => boolean, among?: readonly Buffer[]) => Promise<readonly Flow[]>;
  /** The number of those that were there. Rejects with LinuxError; those before are gone then. */
  readonly remove: (flows: readonly Flow[]) => Promise<number>;
  readonly close: () => void;
};

const TIMEOUT_MS = 10_000;

/** Deletions in one message to the kernel; their answers must fit the receive buffer. */
const AT_ONCE = 200;

type Waiting = {
  readonly take: (news: FlowNews) => void;
  readonly fail: (error: LinuxError) => void;
  /** Where none of these bytes are in what was received, only ends are looked for. */
  readonly among: readonly Buffer[] | undefined;
};

const failed = (code: string): LinuxError => new LinuxError(code, `conntrack: ${code}`);

/** Opens the socket in this process's network namespace. Calls take turns. */
export function openFlows(): Flows {
  let waiting: Waiting | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  let seq = 1;

  const open = (): RawNetlinkSocket => {
    const made = new RawNetlinkSocket(Protocol.NETFILTER, {
      recvBufferSize: 4 << 20,
      sendBufferSize: 1 << 20,
    });
    made.unref();
    made.on('message', bytes => {
      const nothing = waiting?.among?.every(some => !bytes.includes(some));
      for (const news of parseFlowNews(bytes, nothing)) waiting?.take(news);
    });
    // The package closes a socket after an error.
    made.on('error', error => {
      socket = open();
      waiting?.fail(failed(error.code));
    });
    return made;
  };
  let socket = open();

  /** Sends and takes answers until `take` says that there is nothing more to come. */
  const exchange = (
    bytes: Buffer,
    take: (news: FlowNews) => boolean,
    among?: readonly Buffer[],
  ): Promise<void> => {
    const mine = turn.then(
      () =>
        new Promise<void>((resolve, reject) => {
          const end = (error?: LinuxError): void => {
            clearTimeout(timer);
            waiting = undefined;
            if (error === undefined) resolve();
            else reject(error);
          };
          const timer = setTimeout(() => end(failed('ETIMEDOUT')), TIMEOUT_MS);
          waiting = { take: news => void (take(news) && end()), fail: end, among };
          socket.send(bytes, undefined, error => {
            if (error) end(failed(error.code));
          });
        }),
    );
    turn = mine.catch(() => undefined);
    return mine;
  };

  const list: Flows['list'] = async (keep, among) => {
    const own = seq++;
    const found: Flow[] = [];
    let errno = 0;
    const take = (news: FlowNews): boolean => {
      if (news.seq !== own) return false;
      if (news.kind === 'flow' && keep(news.flow)) found.push(news.flow);
      if (news.kind === 'end') errno = news.errno;
      return news.kind === 'end';
    };
    await exchange(encodeFlowDump(own), take, among);
    if (errno !== 0) throw failed(getSystemErrorName(errno));
    return found;
  };

  const removeSome = async (flows: readonly Flow[]): Promise<number> => {
    const first = seq;
    seq += flows.length;
    let left = flows.length;
    let removed = 0;
    let bad = 0;
    await exchange(Buffer.concat(flows.map((flow, n) => encodeFlowDelete(flow, first + n))), news => {
      if (news.kind !== 'end' || news.seq < first || news.seq >= first + flows.length) return false;
      left -= 1;
      if (news.errno === 0) removed += 1;
      else if (getSystemErrorName(news.errno) !== 'ENOENT') bad = news.errno;
      return left === 0;
    });
    if (bad !== 0) throw failed(getSystemErrorName(bad));
    return removed;
  };

  const remove: Flows['remove'] = async flows => {
    let removed = 0;
    for (let at = 0; at < flows.length; at += AT_ONCE)
      removed += await removeSome(flows.slice(at, at + AT_ONCE));
    return removed;
  };

  return { list, remove, close: () => socket.close() };
}
