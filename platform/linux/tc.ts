/**
 * Traffic control by rtnetlink (linux/pkt_sched.h, pkt_cls.h): a token bucket at the exit of a
 * link, and the redirection of what enters a link to another one, where it can be shaped too.
 */
import { attr, nest, parseAttrs, readText, text, u32 } from './attrs.ts';
import { isUnsupported, LinuxError } from './errors.ts';
import { FLAG, RTM, type Rtnl } from './rtnl.ts';

const RTM_TC = { newQdisc: 36, getQdisc: 38, newFilter: 44 } as const;
const TCA = { kind: 1, options: 2 } as const;
const TBF = { parms: 1, rate64: 4, burst: 6 } as const;
const U32 = { sel: 5, act: 7 } as const;
const ACT = { kind: 1, options: 2 } as const;
const MIRRED_PARMS = 2;

const ROOT = 0xffff_ffff;
const INGRESS = 0xffff_fff1;
const INGRESS_HANDLE = 0xffff_0000;
const ETH_P_ALL = 3;
const LINKLAYER_ETHERNET = 1;
const TERMINAL = 1;
const TC_ACT_STOLEN = 4;
const EGRESS_REDIR = 1;

/** struct tcmsg. */
function head(index: number, handle: number, parent: number, info = 0): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(handle, 8);
  bytes.writeUInt32LE(parent, 12);
  bytes.writeUInt32LE(info, 16);
  return bytes;
}

const u64 = (type: number, value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return attr(type, bytes);
};

/** Bytes a second, and bytes that may go at once after a pause. */
export type Bucket = { readonly rate: number; readonly burst: number };

/** How long a packet may wait for its turn before it is dropped. */
const LATENCY_S = 0.025;

/** struct tc_tbf_qopt. The rate is 32 bits here; larger ones are in an attribute of their own. */
function tbfParms({ rate, burst }: Bucket): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt8(LINKLAYER_ETHERNET, 1);
  bytes.writeUInt32LE(Math.min(rate, 0xffff_ffff), 8);
  bytes.writeUInt32LE(Math.min(Math.ceil(rate * LATENCY_S) + burst, 0xffff_ffff), 24);
  return bytes;
}

const cannot = (error: unknown, what: string): unknown =>
  error instanceof LinuxError && (error.code === 'ENOENT' || isUnsupported(error))
    ? new LinuxError('EOPNOTSUPP', `this kernel has no ${what}`, error)
    : error;

const RULES = FLAG.create | FLAG.replace;

/** What leaves by the link keeps to the bucket. Rejects with EOPNOTSUPP where the kernel has no tbf. */
export async function shapeExit(rt: Rtnl, index: number, bucket: Bucket): Promise<void> {
  const options = nest(
    TCA.options,
    attr(TBF.parms, tbfParms(bucket)),
    ...(bucket.rate > 0xffff_ffff ? [u64(TBF.rate64, bucket.rate)] : []),
    u32(TBF.burst, bucket.burst),
  );
  const message = [head(index, 0x0001_0000, ROOT), text(TCA.kind, 'tbf'), options];
  await rt.change(`shape link ${index}`, RTM_TC.newQdisc, RULES, message).catch(error => {
    throw cannot(error, 'traffic shaping (module sch_tbf)');
  });
}

/** struct tc_u32_sel with one key that everything matches. */
function everything(): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt8(TERMINAL, 0);
  bytes.writeUInt8(1, 2);
  return bytes;
}

/** struct tc_mirred. */
function redirect(to: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeInt32LE(TC_ACT_STOLEN, 8);
  bytes.writeInt32LE(EGRESS_REDIR, 20);
  bytes.writeUInt32LE(to, 24);
  return bytes;
}

/** What enters by the link `from` passes the exit of `to` first. Rejects with EOPNOTSUPP where the kernel cannot. */
export async function redirectEntry(rt: Rtnl, from: number, to: number): Promise<void> {
  const mirred = nest(1, text(ACT.kind, 'mirred'), nest(ACT.options, attr(MIRRED_PARMS, redirect(to))));
  const options = nest(TCA.options, attr(U32.sel, everything()), nest(U32.act, mirred));
  const info = ((1 << 16) | (ETH_P_ALL << 8)) >>> 0;
  try {
    await rt.change(`ingress of link ${from}`, RTM_TC.newQdisc, RULES, [
      head(from, INGRESS_HANDLE, INGRESS),
      text(TCA.kind, 'ingress'),
    ]);
    await rt.change(`redirect link ${from}`, RTM_TC.newFilter, RULES, [
      head(from, 0x8000_0800, INGRESS_HANDLE, info),
      text(TCA.kind, 'u32'),
      options,
    ]);
  } catch (error) {
    throw cannot(error, 'redirection of traffic (modules sch_ingress, cls_u32, act_mirred)');
  }
}

/** A link that is nothing but a place to shape at. Rejects with EOPNOTSUPP where the kernel has no ifb. */
export async function addShapingLink(rt: Rtnl, name: string): Promise<void> {
  const IFLA = { ifname: 3, linkinfo: 18 } as const;
  const message = [Buffer.alloc(16), text(IFLA.ifname, name), nest(IFLA.linkinfo, text(1, 'ifb'))];
  await rt.change(`add link ${name}`, RTM.newLink, FLAG.create | FLAG.excl, message).catch(error => {
    throw cannot(error, 'links of kind ifb (module ifb)');
  });
}

/** Indexes of the links at whose exit a token bucket stands. */
export async function shapedLinks(rt: Rtnl): Promise<ReadonlySet<number>> {
  const messages = await rt.dump('list qdiscs', RTM_TC.getQdisc, [head(0, 0, 0)]);
  const buckets = messages.filter(m => readText(parseAttrs(m.subarray(20)).get(TCA.kind)) === 'tbf');
  return new Set(buckets.map(message => message.readInt32LE(4)));
}
