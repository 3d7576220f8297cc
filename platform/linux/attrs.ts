/** Netlink attributes as bytes: 2 bytes length, 2 bytes type, value, padded to 4. Pure; host byte order is little. */

const align = (length: number): number => (length + 3) & ~3;

/** One attribute. A pod takes a hundred of them, and memory of a pool is had for a fraction of what zeros cost. */
export function attr(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(align(4 + value.length));
  bytes.fill(0, 4 + value.length);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

export const nest = (type: number, ...attrs: readonly Uint8Array[]): Buffer =>
  attr(type, Buffer.concat(attrs));

export const u8 = (type: number, value: number): Buffer => attr(type, Buffer.from([value]));

export function u32(type: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value >>> 0);
  return attr(type, bytes);
}

/** With the closing NUL that the kernel wants. */
export const text = (type: number, value: string): Buffer => attr(type, Buffer.from(`${value}\0`));

/** The highest bits of a type say nested and byte order. */
const TYPE = 0x3fff;

/** Values of the attributes of a list, in their order, whatever their types. */
export function listAttrs(bytes: Buffer): readonly Buffer[] {
  const values: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    values.push(bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return values;
}

/** Attributes by type; the last of a type wins. Bytes that are no attribute end the reading. */
export function parseAttrs(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const attrs = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    attrs.set(bytes.readUInt16LE(at + 2) & TYPE, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return attrs;
}

export const readU32 = (bytes: Buffer | undefined): number | undefined =>
  bytes !== undefined && bytes.length >= 4 ? bytes.readUInt32LE(0) : undefined;

export const readText = (bytes: Buffer | undefined): string | undefined =>
  bytes?.toString('utf8').replace(/\0.*$/s, '');

/** `02:77:…` ⇄ 6 bytes. */
export const macToBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

export const macFromBytes = (bytes: Buffer): string => (bytes.toString('hex').match(/../g) ?? []).join(':');
