/**
 * Requests over a netlink socket: the package's own, or one that the CNI binary lends us inside
 * a pod's namespace. Requests may overlap; dumps take turns, since a socket holds one at a time.
 */
import { NetlinkSocket, Protocol, RawNetlinkSocket } from 'netlink';
import { LinuxError } from './errors.ts';
import { limited } from './limit.ts';

/** NLM_F_… of linux/netlink.h. */
export const FLAG = { replace: 0x100, excl: 0x200, create: 0x400, append: 0x800, dump: 0x300 } as const;

/** RTM_… of linux/rtnetlink.h. */
export const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddr: 20,
  delAddr: 21,
  getAddr: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeigh: 28,
  delNeigh: 29,
  getNeigh: 30,
} as const;

export type Rtnl = {
  /** A change; rejects with LinuxError. `what` is the sentence's beginning in its message. */
  readonly change: (
    what: string,
    type: number,
    flags: number,
    payload: readonly Uint8Array[],
  ) => Promise<void>;
  /** One object, payload after the netlink header. */
  readonly get: (what: string, type: number, payload: readonly Uint8Array[]) => Promise<Buffer | undefined>;
  readonly dump: (what: string, type: number, payload: readonly Uint8Array[]) => Promise<readonly Buffer[]>;
  readonly changes: () => number;
  readonly close: () => void;
};

/** A request that the kernel does not answer in this time is lost: the socket's owner is gone. */
const TIMEOUT_MS = 10_000;

/** NLM_F_DUMP_INTR: what is dumped changed meanwhile, so something may be missing or there twice. */
const DUMP_INTR = 0x10;

/** A busy node changes a link every few milliseconds, and a dump of hundreds takes as long. */
const DUMP_TRIES = 10;

/**
 * Requests under way at once. Their answers wait in the socket's receive buffer, 212,992 bytes
 * where nobody raised net.core.rmem_max; one that overflows makes the package end the process.
 */
const AT_ONCE = 32;

const toError = (what: string, error: unknown): LinuxError => {
  const message = error instanceof Error ? error.message : String(error);
  const timedOut = /Timeout/.test(message) ? 'ETIMEDOUT' : undefined;
  const code =
    /Request rejected: (\w+)/.exec(message)?.[1] ??
    (error as { code?: string }).code ??
    timedOut ??
    'EFAILED';
  return new LinuxError(code, `${what}: ${code === 'EFAILED' ? message : code}`, error);
};

/** Where requests and dumps go: the same socket, or two, asked for anew each time. */
export type Sockets = { readonly requests: () => NetlinkSocket; readonly dumps: () => NetlinkSocket };

/**
 * The verbs on sockets of the package's shape. Two where verbs overlap: the package takes a dump
 * for broken when the answer to something else comes in the middle of it.
 */
export function rtnlOver(sockets: Sockets): Rtnl {
  let changes = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const limit = limited(AT_ONCE);

  const request = async (
    socket: NetlinkSocket,
    what: string,
    type: number,
    flags: number,
    payload: readonly Uint8Array[],
  ) => {
    try {
      const [messages] = await socket.request(type, [...payload], { flags, timeout: TIMEOUT_MS });
      return messages;
    } catch (error) {
      throw toError(what, error);
    }
  };

  /** Rejects rather than to answer with half a table: who reads it removes what it does not find. */
  const wholeDump: Rtnl['dump'] = async (what, type, payload) => {
    for (let tries = 0; tries < DUMP_TRIES; tries += 1) {
      const messages = await request(sockets.dumps(), what, type, FLAG.dump, payload);
      if (!messages.some(message => message.flags & DUMP_INTR)) return messages.map(message => message.data);
    }
    throw new LinuxError('EINTR', `${what}: changed during each of ${DUMP_TRIES} readings`);
  };

  const dump: Rtnl['dump'] = (what, type, payload) => {
    const mine = turn.then(() => wholeDump(what, type, payload));
    turn = mine.catch(() => undefined);
    return mine;
  };

  return {
    change: async (what, type, flags, payload) => {
      changes += 1;
      await limit(() => request(sockets.requests(), what, type, flags, payload));
    },
    get: async (what, type, payload) =>
      (await limit(() => request(sockets.requests(), what, type, 0, payload)))[0]?.data,
    dump,
    changes: () => changes,
    close: () => {
      sockets.requests().close();
      if (sockets.dumps() !== sockets.requests()) sockets.dumps().close();
    },
  };
}

/** A socket that is opened anew after an error: the package closes it then. */
function lasting(protocol: Protocol): () => NetlinkSocket {
  const open = (): NetlinkSocket => {
    const raw = new RawNetlinkSocket(protocol, { recvBufferSize: 4 << 20, sendBufferSize: 1 << 20 });
    const socket = new NetlinkSocket(raw);
    socket.on('error', () => {
      current = open();
    });
    return socket;
  };
  let current = open();
  return () => current;
}

/** In this process's network namespace. */
export const openRtnl = (): Rtnl =>
  rtnlOver({ requests: lasting(Protocol.ROUTE), dumps: lasting(Protocol.ROUTE) });

/** The same for families of generic netlink. */
export function openGenl(): Rtnl {
  const socket = lasting(Protocol.GENERIC);
  return rtnlOver({ requests: socket, dumps: socket });
}
