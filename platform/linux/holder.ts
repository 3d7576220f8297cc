/** Who holds a UDP port of this network namespace, as far as it can be seen from here. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type UdpSocket = { readonly port: number; readonly uid: number; readonly inode: string };

/** Lines of /proc/net/udp or udp6. */
export const parseUdp = (text: string): readonly UdpSocket[] =>
  text.split('\n').flatMap(line => {
    const [slot = '', local = '', , , , , , uid, , inode] = line.trim().split(/\s+/);
    const port = /^\d+:$/.test(slot) ? Number.parseInt(local.split(':')[1] ?? '', 16) : Number.NaN;
    return Number.isNaN(port) || inode === undefined ? [] : [{ port, uid: Number(uid), inode }];
  });

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const list = (path: string): readonly string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

const opens = (pid: string, inode: string): boolean =>
  list(`/proc/${pid}/fd`).some(fd => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });

/** In a container without the host's processes nobody is found, and the socket's user is all that is known. */
function holderOf({ uid, inode, port }: UdpSocket): string {
  const pid = list('/proc').find(name => /^\d+$/.test(name) && opens(name, inode));
  return pid === undefined
    ? `a socket of user ${uid} (inode ${inode}); on the node, ss -ulnp 'sport = :${port}' names its process`
    : `the process ${read(`/proc/${pid}/comm`).trim()} (pid ${pid})`;
}

/** In words; undefined where the port is free. */
export function udpHolder(port: number): string | undefined {
  const sockets = ['/proc/net/udp', '/proc/net/udp6'].flatMap(path => parseUdp(read(path)));
  const found = sockets.find(socket => socket.port === port);
  return found && holderOf(found);
}
