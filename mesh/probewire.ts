/** Probe datagrams: 4 bytes `weft`, 1 byte kind, 8 bytes nonce. Pure. */
const MAGIC = Buffer.from('weft');
const KINDS = ['question', 'answer'] as const;

export type ProbeKind = (typeof KINDS)[number];
export type Probe = { readonly kind: ProbeKind; readonly nonce: bigint };

export function encodeProbe(kind: ProbeKind, nonce: bigint): Buffer {
  const bytes = Buffer.alloc(13);
  MAGIC.copy(bytes);
  bytes.writeUInt8(KINDS.indexOf(kind), 4);
  bytes.writeBigUInt64BE(nonce, 5);
  return bytes;
}

/** Absent where the bytes are no probe of ours. */
export function decodeProbe(bytes: Buffer): Probe | undefined {
  if (bytes.length !== 13 || !bytes.subarray(0, 4).equals(MAGIC)) return undefined;
  const kind = KINDS[bytes.readUInt8(4)];
  return kind === undefined ? undefined : { kind, nonce: bytes.readBigUInt64BE(5) };
}
