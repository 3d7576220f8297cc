/** WireGuard through the program `wg`, which speaks to the kernel and to wireguard-go alike. */
import { LinuxError } from './errors.ts';
import type { Exec } from './exec.ts';
import { udpHolder } from './holder.ts';
import type { Wg, WgChange } from './types.ts';
import { parseAllowed, parseUapiAllowed, readUapi } from './uapi.ts';
import { parseWgDump } from './wgdump.ts';

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

export function wgOver(exec: Exec, changed: () => void): Wg {
  const answering = new Set<string>();
  return {
    dump: async link => {
      answering.delete(link);
      // `wg` would wait for one that hangs as long as it is let.
      await readUapi(link);
      try {
        const device = parseWgDump(await exec(['wg', 'show', link, 'dump']));
        answering.add(link);
        return device;
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    allowed: async link => {
      const said = await readUapi(link);
      if (said !== undefined) return parseUapiAllowed(said);
      try {
        return parseAllowed(await exec(['wg', 'show', link, 'allowed-ips']));
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    answered: link => answering.has(link),
    set: async (link, changes) => {
      changed();
      await readUapi(link);
      const key = privateKey(changes);
      await exec(['wg', 'set', link, ...setArguments(changes)], key, key !== '').catch(error => {
        throw namingHolder(error, changes);
      });
    },
  };
}
