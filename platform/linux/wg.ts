/** WireGuard: read over netlink, or by the socket of a wireguard-go; changed through the program `wg`. */
import { LinuxError } from './errors.ts';
import type { Exec } from './exec.ts';
import { udpHolder } from './holder.ts';
import type { Wg, WgChange, WgDevice } from './types.ts';
import { parseUapi, readUapi } from './uapi.ts';
import { parseWgDump } from './wgdump.ts';

/** Whoever only looks is told of a hung engine sooner: a pass, which waits longer, is to say so. */
const LOOK_TIMEOUT_MS = 700;

/** Anything else, a missing right above all, is not absence. */
const ABSENT =
  /No such device|No such file|Operation not supported|Protocol not supported|Connection refused/;

function words(change: WgChange): string[] {
  switch (change.kind) {
    case 'device':
      return [
        ...(change.privateKey === undefined ? [] : ['private-key', '/dev/stdin']),
        ...(change.listenPort === undefined ? [] : ['listen-port', String(change.listenPort)]),
      ];
    case 'remove':
      return ['peer', change.publicKey, 'remove'];
    case 'peer':
      return [
        'peer',
        change.publicKey,
        ...(change.endpoint === undefined ? [] : ['endpoint', change.endpoint]),
        ...(change.allowedIps === undefined ? [] : ['allowed-ips', change.allowedIps.join(',')]),
        ...(change.keepalive === undefined ? [] : ['persistent-keepalive', String(change.keepalive)]),
      ];
  }
}

/** Device settings first: `wg` takes them only before the first peer. */
export const setArguments = (changes: readonly WgChange[]): readonly string[] =>
  [...changes.filter(c => c.kind === 'device'), ...changes.filter(c => c.kind !== 'device')].flatMap(words);

const privateKey = (changes: readonly WgChange[]): string =>
  changes.flatMap(c => (c.kind === 'device' && c.privateKey !== undefined ? [c.privateKey] : []))[0] ?? '';

/** A port that is taken: the error also says by whom. */
function namingHolder(error: unknown, changes: readonly WgChange[]): unknown {
  const port = changes.find(change => change.kind === 'device')?.listenPort;
  if (!(error instanceof LinuxError) || error.code !== 'EADDRINUSE' || port === undefined) return error;
  const words = `UDP port ${port} is held by ${udpHolder(port) ?? 'nobody any more'}: end it, or choose another with the setting listenPort`;
  return new LinuxError(error.code, `${error.message}: ${words}`, error);
}

/** `netlink` reads a device of the kernel's own. The program is for whatever else there is, and knows the words for it. */
export function wgOver(
  exec: Exec,
  changed: () => void,
  netlink: (link: string) => Promise<WgDevice> = () => Promise.reject(new Error('there is no netlink')),
): Wg {
  const answering = new Set<string>();
  /** Without a program; undefined: it takes one. */
  const read = async (link: string, timeoutMs?: number): Promise<WgDevice | undefined> => {
    const said = await readUapi(link, timeoutMs);
    return said === undefined ? netlink(link).catch(() => undefined) : parseUapi(said);
  };
  const look = async (link: string, timeoutMs?: number): Promise<WgDevice | undefined> => {
    try {
      return (await read(link, timeoutMs)) ?? (await parseWgDump(await exec(['wg', 'show', link, 'dump'])));
    } catch (error) {
      if (ABSENT.test((error as LinuxError).message)) return undefined;
      throw error;
    }
  };
  return {
    dump: async link => {
      answering.delete(link);
      const device = await look(link);
      if (device !== undefined) answering.add(link);
      return device;
    },
    allowed: async link => {
      const device = await look(link, LOOK_TIMEOUT_MS);
      return device && new Map(device.peers.map(peer => [peer.publicKey, peer.allowedIps]));
    },
    answered: link => answering.has(link),
    set: async (link, changes) => {
      changed();
      // `wg` would wait for one that hangs as long as it is let.
      await readUapi(link);
      const key = privateKey(changes);
      await exec(['wg', 'set', link, ...setArguments(changes)], key, key !== '').catch(error => {
        throw namingHolder(error, changes);
      });
    },
  };
}
