/**
 * Probe datagrams: 4 bytes `weft`, 1 byte kind, 8 bytes nonce, 2 bytes what the asker knows, and zeros up to the
 * size that is asked for. An answer has its question's size; one to `path` is short, so that one direction alone is
 * measured (cni/shim/probe.c asks so). Pure.
 */
const MAGIC = Buffer.from('weft');
const KINDS = ['question', 'answer', 'path'] as const;
const HEAD = 13;
const WHOLE = 15;

/** Seconds since the last answer: more than can be said, and never. */
const MOST = 0xfffe;
const NEVER = 0xffff;

export type ProbeKind = (typeof KINDS)[number];

export type Probe = {
  readonly kind: ProbeKind;
  readonly nonce: bigint;
  /** How long the asker has had no answer of the one it asks; Infinity: never; undefined: it does not say. */
  readonly unansweredMs: number | undefined;
  /** Bytes of the datagram. */
  readonly size: number;
};

const secondsOf = (ms: number): number =>
  Number.isFinite(ms) ? Math.min(MOST, Math.max(0, Math.round(ms / 1_000))) : NEVER;

export function encodeProbe({ kind, nonce, unansweredMs, size }: Probe): Buffer {
  const bytes = Buffer.alloc(Math.max(unansweredMs === undefined ? HEAD : WHOLE, size));
  MAGIC.copy(bytes);
  bytes.writeUInt8(KINDS.indexOf(kind), 4);
  bytes.writeBigUInt64BE(nonce, 5);
  if (bytes.length >= WHOLE)
    bytes.writeUInt16BE(unansweredMs === undefined ? NEVER : secondsOf(unansweredMs), HEAD);
  return bytes;
}

/** Absent where the bytes are no probe of ours. Longer ones are taken: a later version may say more. */
export function decodeProbe(bytes: Buffer): Probe | undefined {
  if (bytes.length < HEAD || !bytes.subarray(0, 4).equals(MAGIC)) return undefined;
  const kind = KINDS[bytes.readUInt8(4)];
  if (kind === undefined) return undefined;
  const seconds = bytes.length < WHOLE ? undefined : bytes.readUInt16BE(HEAD);
  const unansweredMs =
    seconds === undefined ? undefined : seconds === NEVER ? Number.POSITIVE_INFINITY : seconds * 1_000;
  return { kind, nonce: bytes.readBigUInt64BE(5), unansweredMs, size: bytes.length };
}
