/** The kernel's own news of links, addresses, routes, neighbours and nft rules in this namespace. */
import { Protocol, RawNetlinkSocket } from 'netlink';
import type { KernelEvent } from './types.ts';

/** RTNLGRP_* and NFNLGRP_NFTABLES. */
const GROUPS: Readonly<
  Record<KernelEvent, { readonly protocol: number; readonly groups: readonly number[] }>
> = {
  link: { protocol: Protocol.ROUTE, groups: [1] },
  neighbour: { protocol: Protocol.ROUTE, groups: [3] },
  address: { protocol: Protocol.ROUTE, groups: [5, 9] },
  route: { protocol: Protocol.ROUTE, groups: [7, 11] },
  nft: { protocol: Protocol.NETFILTER, groups: [7] },
};

/** One kind's socket, opened anew after an error: news were lost then, so anything may have changed. */
function follow(kind: KernelEvent, onEvent: (kind: KernelEvent) => void): () => void {
  const { protocol, groups } = GROUPS[kind];
  let stopped = false;
  const open = (): RawNetlinkSocket => {
    const socket = new RawNetlinkSocket(protocol, { recvBufferSize: 1 << 20, sendBufferSize: 1 << 16 });
    for (const group of groups) socket.addMembership(group);
    socket.unref();
    socket.on('message', () => onEvent(kind));
    socket.on('error', () => {
      if (stopped) return;
      current = open();
      onEvent(kind);
    });
    return socket;
  };
  let current = open();
  return () => {
    stopped = true;
    current.close();
  };
}

/** Calls back at each piece of news; the result stops it. */
export function watchKernel(kinds: readonly KernelEvent[], onEvent: (kind: KernelEvent) => void): () => void {
  const stops = kinds.map(kind => follow(kind, onEvent));
  return () => {
    for (const stop of stops) stop();
  };
}
