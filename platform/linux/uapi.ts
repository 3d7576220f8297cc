/** A wireguard-go's own socket, read without a program: what its kernel counterpart says over netlink. */
import { connect } from 'node:net';
import { parseCidr } from '../../ip.ts';
import type { Cidr, PublicKey } from '../../types.ts';
import { LinuxError } from './errors.ts';

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
    let said = '';
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
      said += chunk;
      if (said.endsWith('\n\n') || said.length > MAX_BYTES) settle(() => resolve(said));
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(() =>
        absent(error)
          ? resolve(undefined)
          : reject(new LinuxError(error.code ?? 'EFAILED', `${link}: ${error.message}`)),
      ),
    );
    socket.on('end', () => settle(() => resolve(said)));
  });
}

/** Peers and their networks, of that text. Pure. */
export function parseUapiAllowed(text: string): ReadonlyMap<PublicKey, readonly Cidr[]> {
  const peers = new Map<PublicKey, Cidr[]>();
  let current: Cidr[] = [];
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    if (key === 'public_key') {
      current = [];
      peers.set(Buffer.from(value, 'hex').toString('base64') as PublicKey, current);
    }
    const cidr = key === 'allowed_ip' ? parseCidr(value) : undefined;
    if (cidr?.ok) current.push(cidr.value);
  }
  return peers;
}

/** The same of `wg show LINK allowed-ips`. Pure. */
export function parseAllowed(text: string): ReadonlyMap<PublicKey, readonly Cidr[]> {
  const lines = text.split('\n').filter(line => line !== '');
  return new Map(
    lines.map(line => {
      const [key = '', cidrs = ''] = line.split('\t');
      const parsed = cidrs.split(' ').map(parseCidr);
      return [key as PublicKey, parsed.flatMap(cidr => (cidr.ok ? [cidr.value] : []))];
    }),
  );
}
