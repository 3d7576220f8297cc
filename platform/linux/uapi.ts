/** A wireguard-go's own socket, read without a program: what its kernel counterpart says over netlink. */
import { connect } from 'node:net';
import { parseCidr, remember } from '../../ip.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';
import { LinuxError } from './errors.ts';
import { flatMapInSlices } from './slices.ts';
import type { WgDevice, WgPeer } from './types.ts';
import { publicKeyOf } from './x25519.ts';

const DIRECTORY = '/var/run/wireguard';

/** One that is stopped or hangs holds a caller up no longer. */
const TIMEOUT_MS = 1_500;

/** More than 10,000 peers say. */
const MAX_BYTES = 64 << 20;

const absent = (error: NodeJS.ErrnoException): boolean =>
  error.code === 'ENOENT' || error.code === 'ECONNREFUSED';

/**
 * The device's state as it says it; undefined where there is no such socket, or nobody behind it. Rejects with
 * ETIMEDOUT where somebody is and does not answer.
 */
export function readUapi(link: string, timeoutMs = TIMEOUT_MS): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${DIRECTORY}/${link}.sock`);
    const chunks: string[] = [];
    let [size, tail] = [0, ''];
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      finish();
    };
    const hung = `the wireguard-go of ${link} does not answer: is it stopped? Its peers keep their sessions for 3 minutes`;
    const timer = setTimeout(() => settle(() => reject(new LinuxError('ETIMEDOUT', hung))), timeoutMs);
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write('get=1\n\n'));
    socket.on('data', (chunk: string) => {
      chunks.push(chunk);
      size += chunk.length;
      tail = (tail + chunk.slice(-2)).slice(-2);
      if (tail === '\n\n' || size > MAX_BYTES) settle(() => resolve(chunks.join('')));
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(() =>
        absent(error)
          ? resolve(undefined)
          : reject(new LinuxError(error.code ?? 'EFAILED', `${link}: ${error.message}`)),
      ),
    );
    socket.on('end', () => settle(() => resolve(chunks.join(''))));
  });
}

const keyOf = remember((hex: string): PublicKey => Buffer.from(hex, 'hex').toString('base64') as PublicKey);

/** The same few thousand in each answer. */
const cidrOf = remember(parseCidr);

/** No key. */
const MUTE = '0'.repeat(64);

/** `key=value`, a line each, told one by one: of a thousand peers every object in between counts. */
function eachField(lines: string, tell: (key: string, value: string) => void): void {
  for (let at = 0; at < lines.length; ) {
    const newline = lines.indexOf('\n', at);
    const end = newline < 0 ? lines.length : newline;
    const equals = lines.indexOf('=', at);
    if (equals >= 0 && equals < end) tell(lines.slice(at, equals), lines.slice(equals + 1, end));
    at = end + 1;
  }
}

/** A peer's lines, from the value of its `public_key` on. */
function parsePeer(lines: string): WgPeer {
  let [endpoint, handshake, rx, tx, keepalive]: (string | undefined)[] = [];
  const allowedIps: Cidr[] = [];
  eachField(lines, (key, value) => {
    if (key === 'allowed_ip') {
      const cidr = cidrOf(value);
      if (cidr.ok) allowedIps.push(cidr.value);
    } else if (key === 'endpoint') endpoint = value;
    else if (key === 'last_handshake_time_sec') handshake = value;
    else if (key === 'rx_bytes') rx = value;
    else if (key === 'tx_bytes') tx = value;
    else if (key === 'persistent_keepalive_interval') keepalive = value;
  });
  return {
    publicKey: keyOf(lines.slice(0, MUTE.length)),
    endpoint: endpoint as Endpoint | undefined,
    allowedIps,
    latestHandshake: Number(handshake ?? 0) * 1_000,
    rxBytes: Number(rx ?? 0),
    txBytes: Number(tx ?? 0),
    keepalive: Number(keepalive ?? 0),
  };
}

const secretOf = (hex: string): Buffer | undefined =>
  /^[0-9a-f]{64}$/.test(hex) && hex !== MUTE ? Buffer.from(hex, 'hex') : undefined;

/** That text → device; undefined where it is no whole answer. The private key in it goes no further. */
export async function parseUapi(text: string): Promise<WgDevice | undefined> {
  if (!text.endsWith('errno=0\n\n')) return undefined;
  const [head = '', ...peers] = `\n${text}`.split('\npublic_key=');
  let secret: Buffer | undefined;
  let listenPort = 0;
  eachField(head, (key, value) => {
    if (key === 'private_key') secret = secretOf(value);
    if (key === 'listen_port') listenPort = Number(value);
  });
  return {
    publicKey: secret && publicKeyOf(secret),
    listenPort,
    peers: await flatMapInSlices(peers, parsePeer),
  };
}
