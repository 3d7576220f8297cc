/**
 * A netlink socket that lives in the CNI binary, inside the pod's namespace. It has the shape
 * of the package's RawNetlinkSocket, so the same verbs speak to the pod's kernel.
 */
import { EventEmitter } from 'node:events';
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

/** `send` puts one n frame's payload on the way; `gone` rejects when nobody is there any more. */
export function openRemote(send: (bytes: Buffer) => void, gone: Promise<never>): Remote {
  const events = new EventEmitter();
  const nothing = (): void => {};
  const raw = Object.assign(events, {
    send: (message: Uint8Array | Uint8Array[], _options: unknown, callback?: () => void): void => {
      send(Buffer.concat(Array.isArray(message) ? message : [message]));
      callback?.();
    },
    address: () => NO_ADDRESS,
    ref: nothing,
    unref: nothing,
    close: nothing,
  });
  const socket = new NetlinkSocket(raw as unknown as RawNetlinkSocket);
  const rt = rtnlOver({ requests: () => socket, dumps: () => socket });
  return { rt: untilGone(rt, gone), deliver: bytes => void events.emit('message', bytes, NO_ADDRESS) };
}
