/**
 * A kernel in memory, for tests: it keeps state, refuses what the kernel refuses (a missing link
 * is ENODEV, a second of the same EEXIST, a missing route ESRCH) and prints itself. It moves no
 * packet. test/contract/kernel.ts holds it to the real one.
 */
import type { Endpoint, PublicKey } from '../../types.ts';
import { fakeAddresses } from './fake/addresses.ts';
import { fakeLinks, plugLink } from './fake/links.ts';
import { fakeNeighbours, fakeSysctls } from './fake/neighbours.ts';
import { fakeNft } from './fake/nft.ts';
import { printState } from './fake/print.ts';
import { fakeRoutes, foreignRoute } from './fake/routes.ts';
import { newState } from './fake/state.ts';
import { fakeWg, handshake } from './fake/wg.ts';
import type { Kernel, Link, Route } from './types.ts';

export type FakeKernel = Kernel & {
  /** Everything as sorted `ip …`, `sysctl …`, `wg …` and `nft …` lines. */
  readonly print: () => string;
  /** Command lines that the real kernel's verbs would have run so far, without stdin; `wg show` for a look at a device by any way. */
  readonly spawned: () => readonly string[];
  /** A link that no verb makes: a veth, or the tun of a wireguard-go, which then answers `wg`. */
  readonly plug: (name: string, kind: Link['kind']) => void;
  /** A route of somebody else; 3 is boot. */
  readonly foreignRoute: (route: Route, protocol?: number) => void;
  /** The peer has spoken, at `at` ms since the epoch. */
  readonly handshake: (link: string, peer: PublicKey, at: number, endpoint?: Endpoint) => void;
  /** The engine of `link` no longer answers; its link stays. */
  readonly silence: (link: string) => void;
};

export type FakeOptions = {
  /** False: a kernel without WireGuard. */
  readonly wireguard?: boolean;
};

export function openFake({ wireguard = true }: FakeOptions = {}): FakeKernel {
  const state = newState();
  return {
    links: fakeLinks(state, wireguard),
    addresses: fakeAddresses(state),
    routes: fakeRoutes(state),
    neighbours: fakeNeighbours(state),
    sysctls: fakeSysctls(state),
    wg: fakeWg(state),
    nft: fakeNft(state),
    watch: (kinds, onEvent) => {
      const listener: typeof onEvent = kind => {
        if (kinds.includes(kind)) onEvent(kind);
      };
      state.listeners.add(listener);
      for (const kind of kinds) setImmediate(() => state.listeners.has(listener) && onEvent(kind));
      for (const kind of kinds) setImmediate(() => state.listeners.has(listener) && listener(kind));
      return () => void state.listeners.delete(listener);
    },
    counts: () => ({ spawns: state.spawned.length, changes: state.changes }),
    close: async () => state.listeners.clear(),
    print: () => printState(state),
    spawned: () => [...state.spawned],
    plug: (name, kind) => void plugLink(state, name, kind),
    foreignRoute: (route, protocol = 3) => foreignRoute(state, route, protocol),
    handshake: (link, peer, at, endpoint) => handshake(state, link, peer, at, endpoint),
    silence: link => void state.devices.delete(link),
  };
}
