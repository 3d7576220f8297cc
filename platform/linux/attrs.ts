/** Netlink attributes as bytes: 2 bytes length, 2 bytes type, value, padded to 4. Pure; host byte order is little. */

const align = (length: number): number => (length + 3) & ~3;

/**
 * Head and padding of an attribute; the value is the caller's to write, from 4. A pod takes a hundred of them, and memory of
 * a pool is had for a fraction of what zeros cost.
 */
function begin(type: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(align(4 + length));
  for (let at = 4 + length; at < bytes.length; at += 1) bytes[at] = 0;
  bytes.writeUInt16LE(4 + length, 0);
  bytes.writeUInt16LE(type, 2);
  return bytes;
}

/** One attribute. */
export function attr(type: number, value: Uint8Array): Buffer {
  const bytes = begin(type, value.length);
  bytes.set(value, 4);
  return bytes;
}

export function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/** One after the other, from `at`. */
export function writeAll(bytes: Buffer, at: number, parts: readonly Uint8Array[]): void {
  let next = at;
  for (const part of parts) {
    bytes.set(part, next);
    next += part.length;
  }
}

export function nest(type: number, ...attrs: readonly Uint8Array[]): Buffer {
  const bytes = begin(type, lengthOf(attrs));
  writeAll(bytes, 4, attrs);
  return bytes;
}

export function u8(type: number, value: number): Buffer {
  const bytes = begin(type, 1);
  bytes[4] = value;
  return bytes;
}

export function u32(type: number, value: number): Buffer {
  const bytes = begin(type, 4);
  bytes.writeUInt32LE(value >>> 0, 4);
  return bytes;
}

/** With the closing NUL that the kernel wants. */
export function text(type: number, value: string): Buffer {
  const length = Buffer.byteLength(value);
  const bytes = begin(type, length + 1);
  bytes.write(value, 4);
  bytes[4 + length] = 0;
  return bytes;
}

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

export type Attrs = { readonly get: (type: number) => Buffer | undefined };

/**
 * Attributes by type; the last of a type wins. Bytes that are no attribute end the reading. A link has forty, of which few
 * are read: each is looked for when it is asked for, and nothing is made of the others.
 */
export const parseAttrs = (bytes: Buffer): Attrs => ({
  get: type => {
    let found: Buffer | undefined;
    for (let at = 0; at + 4 <= bytes.length; ) {
      const length = bytes.readUInt16LE(at);
      if (length < 4 || at + length > bytes.length) break;
      if ((bytes.readUInt16LE(at + 2) & TYPE) === type) found = bytes.subarray(at + 4, at + length);
      at += align(length);
    }
    return found;
  },
});

export const readU32 = (bytes: Buffer | undefined): number | undefined =>
  bytes !== undefined && bytes.length >= 4 ? bytes.readUInt32LE(0) : undefined;

export const readText = (bytes: Buffer | undefined): string | undefined =>
  bytes?.toString('utf8').replace(/\0.*$/s, '');

/** `02:77:…` ⇄ 6 bytes. */
export const macToBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

export const macFromBytes = (bytes: Buffer): string => (bytes.toString('hex').match(/../g) ?? []).join(':');
