/** Ethernet frames as a pod might send them, right or wrong; hex. Pure. */
import { ipToBytes, parseIp } from '../../ip.ts';
import { macToBytes } from '../../platform/linux/attrs.ts';

const ipBytes = (text: string): Buffer => {
  const ip = parseIp(text);
  if (!ip.ok) throw new Error(ip.error);
  return ipToBytes(ip.value);
};

const u16 = (n: number): Buffer<ArrayBuffer> => Buffer.from([n >> 8, n & 255]);

export const ether = (dst: string, src: string, type: number, ...payload: readonly Buffer[]): string =>
  Buffer.concat([macToBytes(dst), macToBytes(src), u16(type), ...payload]).toString('hex');

const UDP = Buffer.concat([u16(5000), u16(5001), u16(8), u16(0)]);

/** Ones' complement of the ones' complement sum of 16-bit words (RFC 1071). */
function checksum(header: Buffer): Buffer {
  let sum = 0;
  for (let n = 0; n < header.length; n += 2) sum += header.readUInt16BE(n);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return u16(~sum & 0xffff);
}

export const ipv4 = (src: string, dst: string, protocol = 17, payload: Buffer = UDP): Buffer => {
  const length = u16(20 + payload.length);
  const before = Buffer.concat([Buffer.from([0x45, 0]), length, Buffer.from([0, 0, 0, 0, 64, protocol])]);
  const addresses = Buffer.concat([ipBytes(src), ipBytes(dst)]);
  return Buffer.concat([before, checksum(Buffer.concat([before, addresses])), addresses, payload]);
};

export const ipv6 = (src: string, dst: string, next: number, ...payload: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(payload);
  return Buffer.concat([
    Buffer.from([0x60, 0, 0, 0]),
    u16(body.length),
    Buffer.from([next, 255]),
    ipBytes(src),
    ipBytes(dst),
    body,
  ]);
};

export const udp6 = (src: string, dst: string): Buffer => ipv6(src, dst, 17, UDP);

export const icmp6 = (type: number, target = '::'): Buffer =>
  Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]), ipBytes(target)]);

/** A header of options (hop-by-hop or destination) that does nothing, before `next`. */
export const options = (next: number): Buffer => Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]);

/** As MLD has it: router alert. */
export const routerAlert = (next: number): Buffer => Buffer.from([next, 0, 5, 2, 0, 0, 1, 0]);

export const arp = (operation: 1 | 2, mac: string, ip: string, target: string): Buffer =>
  Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4]),
    u16(operation),
    macToBytes(mac),
    ipBytes(ip),
    Buffer.alloc(6),
    ipBytes(target),
  ]);

export const vlan = (type: number, ...payload: readonly Buffer[]): Buffer =>
  Buffer.concat([u16(5), u16(type), ...payload]);

const u32 = (n: number): Buffer<ArrayBuffer> => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n >>> 0);
  return bytes;
};

/** CRC32c, as SCTP has it (RFC 9260, appendix A). */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

/** An SCTP packet of one chunk, INIT (1) or INIT ACK (2): `tag` is the receiver's, `own` the sender's. */
export const sctp = (source: number, target: number, type: 1 | 2, tag: number, own: number): Buffer => {
  const chunk = Buffer.concat([Buffer.from([type, 0, 0, 20]), u32(own), u32(65_536), u16(1), u16(1), u32(1)]);
  const head = Buffer.concat([u16(source), u16(target), u32(tag)]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32c(Buffer.concat([head, Buffer.alloc(4), chunk])));
  return Buffer.concat([head, sum, chunk]);
};
