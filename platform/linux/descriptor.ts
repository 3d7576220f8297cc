/**
 * What is already in a netlink socket's queue, read without another turn of the event loop: the kernel has answered by
 * the time that a request is sent. The netlink package does not tell a socket's descriptor, and /proc does.
 */
import { readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';

/** Acknowledgements are small, and what a refused request repeats of itself nobody reads. */
const buffer = Buffer.alloc(1 << 14);

const target = (fd: string): string | undefined => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
};

/** Descriptor of this process's socket of `protocol` with that port; undefined where /proc does not tell. */
export function netlinkDescriptor(protocol: number, port: number): number | undefined {
  try {
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    const rows = readFileSync('/proc/self/net/netlink', 'latin1')
      .split('\n')
      .map(row => row.trim().split(/\s+/));
    const inode = rows.find(row => Number(row[1]) === protocol && Number(row[2]) === port)?.at(-1);
    const found = readdirSync('/proc/self/fd').find(fd => target(fd) === `socket:[${inode}]`);
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

/** The next datagram, good until the next call; undefined where there is none. Throws a system error. */
export function receiveNow(fd: number): Buffer | undefined {
  try {
    return buffer.subarray(0, readSync(fd, buffer));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}
