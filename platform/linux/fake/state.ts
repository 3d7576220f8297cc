/** What the fake kernel holds: tables that point at each other by link name, as a namespace's do by index. */
import { LIMIT_PREFIX, NFT_TABLE, POLICY_TABLE, VETH_PREFIX } from '../../../constants.ts';
import { familyOf, prefixLength } from '../../../ip.ts';
import type { Cidr, Ip, PublicKey } from '../../../types.ts';
import { LinuxError } from '../errors.ts';
import type { Address, KernelEvent, Link, Neighbour, Route, WgPeer } from '../types.ts';

export type Device = {
  privateKey: string | undefined;
  listenPort: number;
  readonly peers: Map<PublicKey, WgPeer>;
};

/** A table's items in order: a header with its block, or one line without. */
export type TableItem = { readonly header: string; readonly lines: string[] };

export type Table = {
  readonly items: TableItem[];
  /** Elements of each set or map: data by key, both as hex; data is empty in a set. */
  readonly sets: Map<string, Map<string, string>>;
};

export type OwnedRoute = { readonly route: Route; readonly protocol: number };

export type State = {
  nextIndex: number;
  readonly links: Map<string, Link>;
  readonly addresses: Set<Address>;
  readonly routes: Set<OwnedRoute>;
  readonly neighbours: Set<Neighbour>;
  readonly sysctls: Map<string, string>;
  readonly devices: Map<string, Device>;
  tables: Map<string, Table>;
  /** Argument lists of programs that the real kernel's verbs would have run. */
  readonly spawned: string[];
  changes: number;
  readonly listeners: Set<(kind: KernelEvent) => void>;
};

const LOOPBACK: Link = {
  index: 1,
  name: 'lo',
  kind: 'other',
  mac: '00:00:00:00:00:00',
  mtu: 65_536,
  up: true,
  master: undefined,
  isolated: undefined,
};

export const newState = (): State => ({
  nextIndex: 2,
  links: new Map([['lo', LOOPBACK]]),
  addresses: new Set([
    { link: 'lo', address: '127.0.0.1/8' },
    { link: 'lo', address: '::1/128' },
  ]),
  routes: new Set(),
  neighbours: new Set(),
  sysctls: new Map(),
  devices: new Map(),
  tables: new Map(),
  spawned: [],
  changes: 0,
  listeners: new Set(),
});

export const linkNews = (name: string): KernelEvent =>
  name.startsWith(VETH_PREFIX) || name.startsWith(LIMIT_PREFIX) ? 'wire' : 'link';

/** A route to one address is a pod's. */
export const routeNews = (dst: Cidr): KernelEvent =>
  prefixLength(dst) === (familyOf(dst) === 4 ? 32 : 128) ? 'wire' : 'route';

export function tableNews(family: string, name: string): KernelEvent {
  if (name === POLICY_TABLE) return 'policy';
  if (name === NFT_TABLE && family === 'inet') return 'nft';
  return name.startsWith(NFT_TABLE) ? 'fence' : 'filter';
}

/** News come after the verb's answer, as they do from the kernel. */
export function tell(state: State, kind: KernelEvent): void {
  for (const listener of state.listeners) setImmediate(() => state.listeners.has(listener) && listener(kind));
}

export const refuse = (code: string, what: string): never => {
  throw new LinuxError(code, `${what}: ${code}`);
};

export const linkOf = (state: State, name: string): Link =>
  state.links.get(name) ?? refuse('ENODEV', `there is no link ${name}`);

export const ipOf = (address: string): Ip => address.slice(0, address.indexOf('/')) as Ip;

export const holds = (state: State, ip: Ip): boolean =>
  [...state.addresses].some(({ address }) => ipOf(address) === ip);

/** Removes what matches; true where something did. */
export function drop<T>(from: Set<T>, gone: (item: T) => boolean): boolean {
  const items = [...from].filter(gone);
  for (const item of items) from.delete(item);
  return items.length > 0;
}
