/**
 * The kernel's own WireGuard, read over generic netlink (linux/wireguard.h) without a program: it is looked at every
 * second, and a program's start costs more than the answer.
 */
import { cidrFromBytes, ipFromBytes, toEndpoint } from '../../ip.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';
import { listAttrs, parseAttrs, text } from './attrs.ts';
import { AF } from './names.ts';
import type { Rtnl } from './rtnl.ts';
import { flatMapInSlices } from './slices.ts';
import type { WgDevice, WgPeer } from './types.ts';

const CONTROLLER = 16;
const CTRL = { getFamily: 3, familyId: 1, familyName: 2 } as const;
const GET_DEVICE = 0;
const DEVICE = { ifname: 2, publicKey: 4, listenPort: 6, peers: 8 } as const;
const PEER = {
  publicKey: 1,
  endpoint: 4,
  keepalive: 5,
  handshake: 6,
  rxBytes: 7,
  txBytes: 8,
  allowedIps: 9,
} as const;
const ALLOWED = { address: 2, prefix: 3 } as const;

/** struct genlmsghdr. */
const head = (command: number): Buffer => Buffer.from([command, 1, 0, 0]);
const HEAD = 4;

const keyOf = (bytes: Buffer | undefined): PublicKey | undefined =>
  bytes === undefined ? undefined : (bytes.toString('base64') as PublicKey);

/** struct sockaddr_in or sockaddr_in6. */
function endpointOf(bytes: Buffer | undefined): Endpoint | undefined {
  if (bytes === undefined || bytes.length < 16) return undefined;
  const v4 = bytes.readUInt16LE(0) === AF[4];
  return toEndpoint(ipFromBytes(v4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)), bytes.readUInt16BE(2));
}

function allowedOf(bytes: Buffer | undefined): readonly Cidr[] {
  return listAttrs(bytes ?? Buffer.alloc(0)).flatMap(entry => {
    const attrs = parseAttrs(entry);
    const [address, prefix] = [attrs.get(ALLOWED.address), attrs.get(ALLOWED.prefix)];
    return address === undefined || prefix === undefined ? [] : [cidrFromBytes(address, prefix[0] ?? 0)];
  });
}

const number = (bytes: Buffer | undefined): number => Number(bytes?.readBigUInt64LE(0) ?? 0n);

function parsePeer(bytes: Buffer): WgPeer {
  const attrs = parseAttrs(bytes);
  return {
    publicKey: keyOf(attrs.get(PEER.publicKey)) as PublicKey,
    endpoint: endpointOf(attrs.get(PEER.endpoint)),
    allowedIps: allowedOf(attrs.get(PEER.allowedIps)),
    latestHandshake: number(attrs.get(PEER.handshake)) * 1_000,
    rxBytes: number(attrs.get(PEER.rxBytes)),
    txBytes: number(attrs.get(PEER.txBytes)),
    keepalive: attrs.get(PEER.keepalive)?.readUInt16LE(0) ?? 0,
  };
}

/** A peer whose networks did not fit into one message goes on in the next, where nothing but its key is repeated. */
function joined(peers: readonly WgPeer[]): readonly WgPeer[] {
  const all: WgPeer[] = [];
  for (const peer of peers) {
    const last = all.at(-1);
    if (last === undefined || last.publicKey !== peer.publicKey) all.push(peer);
    else all[all.length - 1] = { ...last, allowedIps: [...last.allowedIps, ...peer.allowedIps] };
  }
  return all;
}

/** All messages of one dump. */
export async function parseDevice(messages: readonly Buffer[]): Promise<WgDevice> {
  const attrs = messages.map(message => parseAttrs(message.subarray(HEAD)));
  const first = attrs.find(one => one.get(DEVICE.listenPort) !== undefined);
  const peers = attrs.flatMap(one => listAttrs(one.get(DEVICE.peers) ?? Buffer.alloc(0)));
  return {
    publicKey: keyOf(first?.get(DEVICE.publicKey)),
    listenPort: first?.get(DEVICE.listenPort)?.readUInt16LE(0) ?? 0,
    peers: joined(await flatMapInSlices(peers, parsePeer)),
  };
}

/** The device as the kernel says it; rejects where there is none of that name, or it is no WireGuard of the kernel's. */
export function openWgNetlink(genl: Rtnl): (link: string) => Promise<WgDevice> {
  let family: Promise<number> | undefined;
  const find = async (): Promise<number> => {
    const request = [head(CTRL.getFamily), text(CTRL.familyName, 'wireguard')];
    const answer = await genl.get('find wireguard', CONTROLLER, request);
    return (
      parseAttrs(answer?.subarray(HEAD) ?? Buffer.alloc(0))
        .get(CTRL.familyId)
        ?.readUInt16LE(0) ?? 0
    );
  };
  return async link => {
    try {
      family ??= find();
      const request = [head(GET_DEVICE), text(DEVICE.ifname, link)];
      return await parseDevice(await genl.dump(`read ${link}`, await family, request));
    } catch (error) {
      // The module may be loaded later, or again.
      family = undefined;
      throw error;
    }
  };
}
