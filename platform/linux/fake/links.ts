/** Links of the fake, with what a link takes along when it goes down or away. */
import { familyOf } from '../../../ip.ts';
import { LinuxError } from '../errors.ts';
import type { Link, LinkChange, LinkSpec, Links } from '../types.ts';
import { drop, ipOf, linkNews, linkOf, refuse, type State, tell } from './state.ts';

const MTU = { bridge: 1500, dummy: 1500, wireguard: 1420, veth: 1500, tun: 1420, other: 1500 } as const;
const LAYER_3: readonly Link['kind'][] = ['wireguard', 'tun'];

const macOf = (index: number): string => `02:fa:ce:00:00:${index.toString(16).padStart(2, '0')}`;

function checkMac(mac: string): void {
  if (Number.parseInt(mac.slice(0, 2), 16) & 1) refuse('EADDRNOTAVAIL', `MAC ${mac}`);
}

/** Puts a link into the namespace, of any kind; the fake's owner makes what no verb can. */
export function plugLink(state: State, name: string, kind: Link['kind'], spec: Partial<LinkSpec> = {}): Link {
  if (state.links.has(name)) refuse('EEXIST', `add link ${name}`);
  if (Buffer.byteLength(name) > 15) refuse('ERANGE', `add link ${name}`);
  if (spec.mac !== undefined) checkMac(spec.mac);
  const index = state.nextIndex;
  state.nextIndex += 1;
  const link: Link = {
    index,
    name,
    kind,
    mac: LAYER_3.includes(kind) ? undefined : (spec.mac ?? macOf(index)),
    mtu: spec.mtu ?? MTU[kind],
    up: false,
    master: undefined,
    isolated: undefined,
  };
  state.links.set(name, link);
  if (LAYER_3.includes(kind))
    state.devices.set(name, { privateKey: undefined, listenPort: 0, peers: new Map() });
  return link;
}

/** Down: its routes, neighbours and IPv6 addresses are forgotten, as by the kernel. */
function goDown(state: State, name: string): void {
  drop(state.routes, ({ route }) => route.link === name);
  drop(state.neighbours, n => n.link === name);
  drop(state.addresses, a => a.link === name && familyOf(ipOf(a.address)) === 6);
}

function checkMaster(state: State, link: Link, { master, isolated }: LinkChange): void {
  const bridge = [...state.links.values()].find(other => other.index === master);
  if (master && bridge === undefined) refuse('EINVAL', `change link ${link.index}`);
  if (master && bridge?.kind !== 'bridge') refuse('ENOTSUP', `change link ${link.index}`);
  const port = master ?? link.master;
  if (isolated !== undefined && !port) refuse('ENOTSUP', `isolate port ${link.index}`);
}

function changed(link: Link, { mac, mtu, up, master, isolated }: LinkChange): Link {
  const port = (master ?? link.master) || undefined;
  return {
    ...link,
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(up !== undefined && { up }),
    master: port,
    isolated: port === undefined ? undefined : (isolated ?? (port === link.master && link.isolated)),
  };
}

function remove(state: State, name: string): void {
  const { index } = linkOf(state, name);
  goDown(state, name);
  drop(state.addresses, a => a.link === name);
  state.links.delete(name);
  state.devices.delete(name);
  for (const key of state.sysctls.keys()) if (key.includes(`/conf/${name}/`)) state.sysctls.delete(key);
  for (const port of state.links.values())
    if (port.master === index) state.links.set(port.name, changed(port, { master: 0 }));
}

/** `wireguard` false: a kernel without it. */
export const fakeLinks = (state: State, wireguard: boolean): Links => ({
  list: async () => [...state.links.values()],
  get: async name => state.links.get(name),
  at: async index => [...state.links.values()].find(link => link.index === index),
  add: async spec => {
    state.changes += 1;
    if (spec.kind === 'wireguard' && !wireguard)
      throw new LinuxError('ENOTSUP', `add link ${spec.name}: ENOTSUP`);
    plugLink(state, spec.name, spec.kind, spec);
    tell(state, linkNews(spec.name));
  },
  change: async (name, change) => {
    const link = linkOf(state, name);
    state.changes += 1;
    checkMaster(state, link, change);
    if (change.mac !== undefined) checkMac(change.mac);
    if (change.mtu !== undefined && change.mtu < 68) refuse('EINVAL', `change link ${link.index}`);
    state.links.set(name, changed(link, change));
    if (link.up && change.up === false) goDown(state, name);
    tell(state, linkNews(name));
  },
  remove: async name => {
    remove(state, name);
    state.changes += 1;
    tell(state, linkNews(name));
  },
});
