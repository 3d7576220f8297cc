/** Port numbers for our sockets of nftables, by which the monitor (cni/shim/monitor.c) tells our own changes from others'. */
import { randomInt } from 'node:crypto';

export type OwnPorts = {
  /** The upper half of each of them. */
  readonly prefix: number;
  readonly next: () => number;
};

/** Above all process numbers, which the kernel gives to others' sockets, and below what it gives where one is taken. */
export function newOwnPorts(): OwnPorts {
  const prefix = randomInt(0x4000, 0x8000);
  let last = 0;
  return {
    prefix,
    next: () => {
      last = (last + 1) % 0x10000;
      return prefix * 0x10000 + last;
    },
  };
}
