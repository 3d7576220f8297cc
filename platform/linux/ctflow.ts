/**
 * Connections that the kernel remembers, as ctnetlink bytes (linux/netfilter/nfnetlink_conntrack.h):
 * read in one dump, removed one by one. Pure.
 */
import { ipFromBytes } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { nest, parseAttrs } from './attrs.ts';

/** A connection as its first packet was sent, and as the answers come: after NAT the two differ. */
export type Flow = {
  /** IP protocol number. */
  readonly protocol: number;
  readonly src: Ip;
  readonly dst: Ip;
  /** 0 where the protocol has none. */
  readonly srcPort: number;
  readonly dstPort: number;
  readonly replySrc: Ip;
  readonly replyDst: Ip;
  readonly replySrcPort: number;
  readonly replyDstPort: number;
  /** What names it to the kernel. */
  readonly key: { readonly family: number; readonly attrs: Buffer };
};

const SUBSYS = 1;
const TYPE = {
  error: 2,
  done: 3,
  new: SUBSYS << 8,
  get: (SUBSYS << 8) | 1,
  delete: (SUBSYS << 8) | 2,
} as const;
const FLAG = { request: 1, ack: 4, dump: 0x300 } as const;
const NESTED = 0x8000;
const CTA = { orig: 1, reply: 2, id: 12, zone: 18 } as const;
const TUPLE = { ip: 1, proto: 2 } as const;
const IP = { src4: 1, dst4: 2, src6: 3, dst6: 4 } as const;
const PROTO = { number: 1, srcPort: 2, dstPort: 3 } as const;
const HEADER = 20;

function message(type: number, flags: number, seq: number, family: number, attrs: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER + attrs.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | FLAG.request, 6);
  bytes.writeUInt32LE(seq, 8);
  bytes.writeUInt8(family, 16);
  bytes.set(attrs, HEADER);
  return bytes;
}

/** AF_UNSPEC: both families. */
export const encodeFlowDump = (seq: number): Buffer => message(TYPE.get, FLAG.dump, seq, 0, Buffer.alloc(0));

export const encodeFlowDelete = ({ key }: Flow, seq: number): Buffer =>
  message(TYPE.delete, FLAG.ack, seq, key.family, key.attrs);

type Tuple = {
  readonly protocol: number;
  readonly src: Ip;
  readonly dst: Ip;
  readonly srcPort: number;
  readonly dstPort: number;
};

/** A destination port as it stands in a flow's message. */
export function dstPortBytes(number: number): Buffer {
  const value = Buffer.alloc(2);
  value.writeUInt16BE(number);
  return nest(PROTO.dstPort, value).subarray(0, 6);
}

const port = (bytes: Buffer | undefined): number => (bytes === undefined ? 0 : bytes.readUInt16BE(0));

function parseTuple(bytes: Buffer | undefined): Tuple | undefined {
  if (bytes === undefined) return undefined;
  const parts = parseAttrs(bytes);
  const ip = parseAttrs(parts.get(TUPLE.ip) ?? Buffer.alloc(0));
  const proto = parseAttrs(parts.get(TUPLE.proto) ?? Buffer.alloc(0));
  const src = ip.get(IP.src4) ?? ip.get(IP.src6);
  const dst = ip.get(IP.dst4) ?? ip.get(IP.dst6);
  const number = proto.get(PROTO.number);
  if (src === undefined || dst === undefined || number === undefined) return undefined;
  return {
    protocol: number.readUInt8(0),
    src: ipFromBytes(src),
    dst: ipFromBytes(dst),
    srcPort: port(proto.get(PROTO.srcPort)),
    dstPort: port(proto.get(PROTO.dstPort)),
  };
}

/** One object's attributes; undefined where it is none that we understand. */
function parseFlow(family: number, bytes: Buffer): Flow | undefined {
  const attrs = parseAttrs(bytes);
  const orig = attrs.get(CTA.orig);
  const from = parseTuple(orig);
  const back = parseTuple(attrs.get(CTA.reply));
  if (orig === undefined || from === undefined || back === undefined) return undefined;
  const rest = [CTA.id, CTA.zone].flatMap(type => {
    const value = attrs.get(type);
    return value === undefined ? [] : [nest(type, value)];
  });
  return {
    ...from,
    replySrc: back.src,
    replyDst: back.dst,
    replySrcPort: back.srcPort,
    replyDstPort: back.dstPort,
    key: { family, attrs: Buffer.concat([nest(NESTED | CTA.orig, orig), ...rest]) },
  };
}

export type FlowNews =
  | { readonly kind: 'flow'; readonly seq: number; readonly flow: Flow }
  /** The dump's end, or the answer to a deletion; errno 0 is success. */
  | { readonly kind: 'end'; readonly seq: number; readonly errno: number };

/** What the socket received, message by message; what is not understood is passed over, and with `ends` the flows too. */
export function* parseFlowNews(bytes: Buffer, ends = false): Generator<FlowNews> {
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < 16 || at + length > bytes.length) return;
    const type = bytes.readUInt16LE(at + 4);
    const seq = bytes.readUInt32LE(at + 8);
    if (type === TYPE.error || type === TYPE.done)
      yield { kind: 'end', seq, errno: length >= HEADER ? bytes.readInt32LE(at + 16) : 0 };
    else if (!ends && type === TYPE.new && length >= HEADER) {
      const flow = parseFlow(bytes.readUInt8(at + 16), bytes.subarray(at + HEADER, at + length));
      if (flow !== undefined) yield { kind: 'flow', seq, flow };
    }
    at += (length + 3) & ~3;
  }
}
