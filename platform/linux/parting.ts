/** A link's removal as plain netlink bytes, for a socket whose owner sends them later and waits for no answer. */
import { RTM } from './rtnl.ts';

const NLM_F_REQUEST = 1;

/** struct nlmsghdr and struct ifinfomsg. */
export function encodeRemoveLink(index: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(RTM.delLink, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST, 6);
  bytes.writeInt32LE(index, 20);
  return bytes;
}
