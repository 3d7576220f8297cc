/** Neighbour entries by rtnetlink: RTM_*NEIGH with `struct ndmsg` and NDA_* attributes (linux/neighbour.h). */
import { familyOf, ipFromBytes, ipToBytes } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { attr, macFromBytes, macToBytes, parseAttrs } from './attrs.ts';
import { AF, type Indexes } from './names.ts';
import { FLAG, RTM, type Rtnl } from './rtnl.ts';
import type { Neighbour, Neighbours } from './types.ts';

const NDA = { dst: 1, lladdr: 2 } as const;
const NUD_PERMANENT = 0x80;

function head(family: number, index: number, state: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(family, 0);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt16LE(state, 8);
  return bytes;
}

const payload = (index: number, ip: Ip, mac: string): Buffer[] => [
  head(AF[familyOf(ip)], index, NUD_PERMANENT),
  attr(NDA.dst, ipToBytes(ip)),
  attr(NDA.lladdr, macToBytes(mac)),
];

export const replaceNeighbour = (rt: Rtnl, index: number, ip: Ip, mac: string): Promise<void> =>
  rt.change(`neighbour ${ip}`, RTM.newNeigh, FLAG.create | FLAG.replace, payload(index, ip, mac));

function parse(message: Buffer, names: ReadonlyMap<number, string>): Neighbour[] {
  const family = message.readUInt8(0);
  const attrs = parseAttrs(message.subarray(12));
  const ip = attrs.get(NDA.dst);
  const mac = attrs.get(NDA.lladdr);
  const permanent = (message.readUInt16LE(8) & NUD_PERMANENT) !== 0;
  if (!permanent || !ip || mac?.length !== 6 || (family !== AF[4] && family !== AF[6])) return [];
  return [{ link: names.get(message.readInt32LE(4)) ?? '', ip: ipFromBytes(ip), mac: macFromBytes(mac) }];
}

/** Permanent neighbours of the socket's namespace. */
export const neighboursOn = (rt: Rtnl, indexes: Indexes): Neighbours => ({
  permanent: async link => {
    const messages = await rt.dump('list neighbours', RTM.getNeigh, [head(0, 0, 0)]);
    const names = await indexes.names();
    const all = messages.flatMap(message => parse(message, names));
    return link === undefined ? all : all.filter(neighbour => neighbour.link === link);
  },
  replace: async ({ link, ip, mac }) => replaceNeighbour(rt, await indexes.of(link), ip, mac),
  remove: async ({ link, ip, mac }) =>
    rt.change(`remove neighbour ${ip}`, RTM.delNeigh, 0, payload(await indexes.of(link), ip, mac)),
});
