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

/** `send` puts one N frame's payload on the way. */
export function openRemote(send: (bytes: Buffer) => void): Remote {
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
  return { rt, deliver: bytes => void events.emit('message', bytes, NO_ADDRESS) };
}
