/** Addresses by rtnetlink: RTM_*ADDR with `struct ifaddrmsg` and IFA_* attributes (linux/if_addr.h). */
import { familyOf, ipFromBytes, ipToBytes, parseIp } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { attr, parseAttrs, readU32, u32 } from './attrs.ts';
import { LinuxError } from './errors.ts';
import { AF, type Indexes } from './names.ts';
import { FLAG, RTM, type Rtnl } from './rtnl.ts';
import type { Address, Addresses } from './types.ts';

const IFA = { address: 1, local: 2, flags: 8 } as const;
const IFA_F_NODAD = 0x02;
/** IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE; IPv4 has another meaning for the first. */
const FLEETING = 0x01 | 0x08 | 0x20 | 0x40;
const WIDTH = { 4: 32, 6: 128 } as const;

function head(family: 4 | 6, prefix: number, index: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(AF[family], 0);
  bytes.writeUInt8(prefix, 1);
  bytes.writeUInt32LE(index, 4);
  return bytes;
}

function split(address: string): { readonly ip: Ip; readonly prefix: number } {
  const [, text = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(address) ?? [];
  const ip = parseIp(text);
  const prefix = Number(length);
  if (!ip.ok || prefix > WIDTH[familyOf(ip.value)])
    throw new LinuxError('EINVAL', `${JSON.stringify(address)} is no address with a prefix length`);
  return { ip: ip.value, prefix };
}

/** Without duplicate address detection: ours are unique by design, and pods must not wait a second. */
function payload(ip: Ip, prefix: number, index: number): Buffer[] {
  const bytes = ipToBytes(ip);
  const family = familyOf(ip);
  const flags = family === 6 ? [u32(IFA.flags, IFA_F_NODAD)] : [];
  return [head(family, prefix, index), attr(IFA.local, bytes), attr(IFA.address, bytes), ...flags];
}

const addWith = (rt: Rtnl, index: number, ip: Ip, prefix: number): Promise<void> =>
  rt.change(`add address ${ip}/${prefix}`, RTM.newAddr, FLAG.create | FLAG.excl, payload(ip, prefix, index));

/** For the address alone, whatever network it is of. */
export const addHostAddress = (rt: Rtnl, index: number, ip: Ip): Promise<void> =>
  addWith(rt, index, ip, WIDTH[familyOf(ip)]);

/** Of IPv6 only; the flags that fit in a byte are in the head as well. */
const isFleeting = (message: Buffer, flags: number | undefined): boolean =>
  message.readUInt8(0) === AF[6] && ((flags ?? message.readUInt8(2)) & FLEETING) !== 0;

/** One RTM_NEWADDR. */
export function parseAddress(
  message: Buffer,
): { readonly index: number } & Pick<Address, 'address' | 'fleeting'> {
  const attrs = parseAttrs(message.subarray(8));
  const bytes = attrs.get(IFA.local) ?? attrs.get(IFA.address) ?? Buffer.alloc(4);
  return {
    index: message.readUInt32LE(4),
    address: `${ipFromBytes(bytes)}/${message.readUInt8(1)}`,
    ...(isFleeting(message, readU32(attrs.get(IFA.flags))) && { fleeting: true }),
  };
}

/** Addresses of the socket's namespace. */
export const addressesOn = (rt: Rtnl, indexes: Indexes): Addresses => ({
  list: async link => {
    const messages = await rt.dump('list addresses', RTM.getAddr, [head(4, 0, 0).fill(0, 0, 1)]);
    const names = await indexes.names();
    const all = messages
      .map(parseAddress)
      .map(({ index, ...rest }): Address => ({ link: names.get(index) ?? '', ...rest }));
    return link === undefined ? all : all.filter(address => address.link === link);
  },
  add: async ({ link, address }) => {
    const { ip, prefix } = split(address);
    await addWith(rt, await indexes.of(link), ip, prefix);
  },
  remove: async ({ link, address }) => {
    const { ip, prefix } = split(address);
    const index = await indexes.of(link);
    await rt.change(`remove address ${address}`, RTM.delAddr, 0, payload(ip, prefix, index));
  },
});
