/** `wg show LINK dump` → device. The private key in its first column goes no further. */
import { parseCidr, remember } from '../../ip.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';
import { flatMapInSlices } from './slices.ts';
import type { WgDevice, WgPeer } from './types.ts';

const none = (text: string | undefined): text is undefined =>
  text === undefined || text === '(none)' || text === 'off';

/** The same few thousand in each dump. */
const cidrOf = remember(parseCidr);

function parsePeer(line: string): WgPeer {
  const [key, , endpoint, allowed, handshake, rx, tx, keepalive] = line.split('\t');
  return {
    publicKey: key as PublicKey,
    endpoint: none(endpoint) ? undefined : (endpoint as Endpoint),
    allowedIps: none(allowed)
      ? []
      : allowed.split(',').flatMap((text): Cidr[] => {
          const cidr = cidrOf(text);
          return cidr.ok ? [cidr.value] : [];
        }),
    latestHandshake: Number(handshake) * 1000,
    rxBytes: Number(rx),
    txBytes: Number(tx),
    keepalive: none(keepalive) ? 0 : Number(keepalive),
  };
}

export async function parseWgDump(text: string): Promise<WgDevice> {
  const [device = '', ...peers] = text.split('\n').filter(line => line !== '');
  const [, publicKey, port] = device.split('\t');
  return {
    publicKey: none(publicKey) ? undefined : (publicKey as PublicKey),
    listenPort: Number(port),
    peers: await flatMapInSlices(peers, parsePeer),
  };
}
