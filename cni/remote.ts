/**
 * A netlink socket that lives in the CNI binary, inside the pod's namespace. It has the shape
 * of the package's RawNetlinkSocket, so the same verbs speak to the pod's kernel.
 */
import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { NetlinkSocket, type RawNetlinkSocket } from 'netlink';
import { type Rtnl, rtnlOver } from '../platform/linux/rtnl.ts';

export type Remote = {
  readonly rt: Rtnl;
  /** Bytes from the pod's kernel. */
  readonly deliver: (bytes: Buffer) => void;
};

const NO_ADDRESS = { port: 0, groups: 0 } as const;

/** A call that its binary does not outlive fails at once, not when the kernel's answer is overdue. */
const untilGone = (rt: Rtnl, gone: Promise<never>): Rtnl => ({
  ...rt,
  change: (...args) => Promise.race([rt.change(...args), gone]),
  get: (...args) => Promise.race([rt.get(...args), gone]),
  dump: (...args) => Promise.race([rt.dump(...args), gone]),
});

/** NLMSG_ERROR with ECONNABORTED, in answer to a message of number `seq`. */
function aborted(seq: number): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeUInt32LE(seq, 8);
  bytes.writeInt32LE(-constants.errno.ECONNABORTED, 16);
  return bytes;
}

/** `send` puts one n frame's payload on the way; `gone` rejects when nobody is there any more. */
export function openRemote(send: (bytes: Buffer) => void, gone: Promise<never>): Remote {
  const events = new EventEmitter();
  const asked: number[] = [];
  let isGone = false;
  const nothing = (): void => {};
  const raw = Object.assign(events, {
    send: (message: Uint8Array | Uint8Array[], _options: unknown, callback?: () => void): void => {
      const bytes = Buffer.concat(Array.isArray(message) ? message : [message]);
      asked.push(bytes.readUInt32LE(8));
      if (isGone) queueMicrotask(abort);
      else send(bytes);
      callback?.();
    },
    address: () => NO_ADDRESS,
    ref: nothing,
    unref: nothing,
    close: nothing,
  });
  const socket = new NetlinkSocket(raw as unknown as RawNetlinkSocket);
  const rt = rtnlOver({ requests: () => socket, dumps: () => socket });
  const deliver = (bytes: Buffer): void => void events.emit('message', bytes, NO_ADDRESS);
  // Otherwise each unanswered request keeps a timer, and a stopping agent waits for it.
  const abort = (): void => deliver(Buffer.concat(asked.splice(0).map(aborted)));
  gone.catch(() => {
    isGone = true;
    abort();
  });
  return { rt: untilGone(rt, gone), deliver };
}
