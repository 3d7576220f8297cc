/** WireGuard devices of the fake: an allowed network belongs to one peer, whoever was given it last. */
import type { Cidr, Endpoint, PublicKey } from '../../../types.ts';
import { LinuxError } from '../errors.ts';
import type { Wg, WgChange, WgPeer } from '../types.ts';
import { publicKeyOf } from '../x25519.ts';
import { type Device, refuse, type State } from './state.ts';

const newPeer = (publicKey: PublicKey): WgPeer => ({
  publicKey,
  endpoint: undefined,
  allowedIps: [],
  latestHandshake: 0,
  rxBytes: 0,
  txBytes: 0,
  keepalive: 0,
});

function take(device: Device, owner: PublicKey, cidrs: readonly Cidr[]): void {
  for (const peer of device.peers.values())
    if (peer.publicKey !== owner && peer.allowedIps.some(cidr => cidrs.includes(cidr)))
      device.peers.set(peer.publicKey, {
        ...peer,
        allowedIps: peer.allowedIps.filter(cidr => !cidrs.includes(cidr)),
      });
}

function apply(device: Device, change: WgChange): void {
  switch (change.kind) {
    case 'device':
      device.privateKey = change.privateKey ?? device.privateKey;
      device.listenPort = change.listenPort ?? device.listenPort;
      return;
    case 'remove':
      device.peers.delete(change.publicKey);
      return;
    case 'peer': {
      const { kind: _, ...given } = change;
      take(device, change.publicKey, change.allowedIps ?? []);
      const known = device.peers.get(change.publicKey) ?? newPeer(change.publicKey);
      device.peers.set(change.publicKey, { ...known, ...given });
    }
  }
}

/** As base64 of 32 bytes. */
const KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

function check(change: WgChange): void {
  const key = change.kind === 'device' ? change.privateKey : change.publicKey;
  if (key !== undefined && !KEY.test(key))
    throw new LinuxError('EFAILED', 'wg set: Key is not the correct length or format');
}

/** Device settings come first, as `setArguments` puts them. */
const ordered = (changes: readonly WgChange[]): readonly WgChange[] => [
  ...changes.filter(c => c.kind === 'device'),
  ...changes.filter(c => c.kind !== 'device'),
];

export function fakeWg(state: State): Wg {
  const answering = new Set<string>();
  return {
    dump: async link => {
      state.spawned.push(`wg show ${link} dump`);
      const device = state.devices.get(link);
      if (device === undefined) answering.delete(link);
      else answering.add(link);
      return (
        device && {
          publicKey:
            device.privateKey === undefined
              ? undefined
              : publicKeyOf(Buffer.from(device.privateKey, 'base64')),
          listenPort: device.listenPort,
          peers: [...device.peers.values()],
        }
      );
    },
    allowed: async link => {
      const device = state.devices.get(link);
      return device && new Map([...device.peers.values()].map(peer => [peer.publicKey, peer.allowedIps]));
    },
    answered: link => answering.has(link),
    set: async (link, changes) => {
      state.spawned.push(`wg set ${link}`);
      state.changes += 1;
      const device = state.devices.get(link) ?? refuse('ENODEV', `wg set ${link}`);
      for (const change of changes) check(change);
      for (const change of ordered(changes)) apply(device, change);
    },
  };
}

/** As if the peer had spoken from there: what a tunnel's life does to a device. */
export function handshake(
  state: State,
  link: string,
  publicKey: PublicKey,
  at: number,
  endpoint?: Endpoint,
): void {
  const peers = state.devices.get(link)?.peers;
  const peer = peers?.get(publicKey) ?? refuse('ENOENT', `peer ${publicKey} of ${link}`);
  peers?.set(publicKey, { ...peer, latestHandshake: at, ...(endpoint !== undefined && { endpoint }) });
}
