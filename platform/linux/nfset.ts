/**
 * Set elements of our nft tables as nfnetlink bytes (linux/netfilter/nf_tables.h): one atomic
 * batch. A forked `nft` takes tens of milliseconds, more beside other people's large tables. Pure.
 */
import { attr, lengthOf, nest, text, writeAll } from './attrs.ts';
import { LinuxError } from './errors.ts';
import type { ElementChange, NftFamily, Verdict } from './types.ts';

const FAMILY: Readonly<Record<NftFamily, number>> = { inet: 1, ip: 2, bridge: 7, ip6: 10 };
const SUBSYS_NFTABLES = 10;
const TYPE = {
  error: 2,
  batchBegin: 16,
  batchEnd: 17,
  newElement: (10 << 8) | 12,
  deleteElement: (10 << 8) | 14,
} as const;
const FLAG = { request: 1, ack: 4, create: 0x400 } as const;
const NESTED = 0x8000;
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = { key: 1, data: 2, keyEnd: 10 } as const;
const DATA = { value: 1, verdict: 2 } as const;
const VERDICT = { code: 1, chain: 2 } as const;
/** NF_… of linux/netfilter.h and NFT_… of nf_tables.h. */
const CODE: Readonly<Record<Verdict['kind'], number>> = {
  drop: 0,
  accept: 1,
  jump: -3,
  goto: -4,
  return: -5,
};
/** IFNAMSIZ, with the closing NUL. */
const NAME_SIZE = 16;

const align = (length: number): number => (length + 3) & ~3;

/** Fields of a concatenated key, each padded to 4 bytes. */
export function concatKey(...fields: readonly Uint8Array[]): Buffer {
  const key = Buffer.alloc(fields.reduce((size, field) => size + align(field.length), 0));
  let at = 0;
  for (const field of fields) {
    key.set(field, at);
    at += align(field.length);
  }
  return key;
}

/** An interface name as a key field: 16 bytes. Throws LinuxError EINVAL where no link can have that name. */
export function ifnameKey(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length >= NAME_SIZE)
    throw new LinuxError('EINVAL', `${JSON.stringify(name)} is no link name: it takes 1 to 15 bytes`);
  return Buffer.concat([bytes, Buffer.alloc(NAME_SIZE - bytes.length)]);
}

/** Elements of one set with one verb: one message, one acknowledgement. */
export type ElementRun = {
  readonly op: ElementChange['op'];
  readonly set: string;
  readonly elements: readonly ElementChange[];
};

/** A list attribute's length is 16 bits; a set's element takes 200 bytes and less. */
const RUN_LIMIT = 200;

function* runsOf(set: string, changes: readonly ElementChange[]): Generator<ElementRun> {
  for (let at = 0; at < changes.length; ) {
    const op = (changes[at] as ElementChange).op;
    const other = changes.findIndex((change, n) => n > at && change.op !== op);
    const end = Math.min(other < 0 ? changes.length : other, at + RUN_LIMIT);
    yield { op, set, elements: changes.slice(at, end) };
    at = end;
  }
}

/** Set by set, in each the order given: what happens to one set is nothing to another. */
export const elementRuns = (changes: readonly ElementChange[]): readonly ElementRun[] =>
  [...Map.groupBy(changes, change => change.set)].flatMap(([set, own]) => [...runsOf(set, own)]);

/** struct nlmsghdr and struct nfgenmsg before the attributes. */
function message(
  type: number,
  flags: number,
  seq: number,
  family: number,
  resource: number,
  ...attrs: readonly Uint8Array[]
): Buffer {
  const bytes = Buffer.allocUnsafe(20 + lengthOf(attrs)).fill(0, 0, 20);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | FLAG.request, 6);
  bytes.writeUInt32LE(seq, 8);
  bytes.writeUInt8(family, 16);
  bytes.writeUInt16BE(resource, 18);
  writeAll(bytes, 20, attrs);
  return bytes;
}

function verdictData(verdict: Verdict): Buffer {
  const code = Buffer.alloc(4);
  code.writeInt32BE(CODE[verdict.kind]);
  return nest(
    NESTED | DATA.verdict,
    attr(VERDICT.code, code),
    ...('chain' in verdict ? [text(VERDICT.chain, verdict.chain)] : []),
  );
}

const element = ({ key, keyEnd, data, verdict }: ElementChange): Buffer =>
  nest(
    NESTED | 1,
    nest(NESTED | ELEMENT.key, attr(DATA.value, key)),
    ...(keyEnd === undefined ? [] : [nest(NESTED | ELEMENT.keyEnd, attr(DATA.value, keyEnd))]),
    ...(data === undefined ? [] : [nest(NESTED | ELEMENT.data, attr(DATA.value, data))]),
    ...(verdict === undefined ? [] : [nest(NESTED | ELEMENT.data, verdictData(verdict))]),
  );

/** Runs of one table. */
export type TableRuns = {
  readonly family: NftFamily;
  readonly table: string;
  readonly runs: readonly ElementRun[];
};

/**
 * One batch, all or nothing; run number n, counted over all tables, has sequence number `seq + 1 + n`. The kernel answers
 * what it refuses, in the order of the runs, and the last run: where that is granted and nothing came before it, all is done.
 */
export function encodeBatch(tables: readonly TableRuns[], seq: number): Buffer {
  const runs = tables.flatMap(({ family, table, runs: own }) => own.map(run => ({ family, table, ...run })));
  const middle = runs.map(({ family, table, op, set, elements }, n) =>
    message(
      op === 'add' ? TYPE.newElement : TYPE.deleteElement,
      (n === runs.length - 1 ? FLAG.ack : 0) | (op === 'add' ? FLAG.create : 0),
      seq + 1 + n,
      FAMILY[family],
      0,
      text(LIST.table, table),
      text(LIST.set, set),
      nest(NESTED | LIST.elements, ...elements.map(element)),
    ),
  );
  return Buffer.concat([
    message(TYPE.batchBegin, 0, seq, 0, SUBSYS_NFTABLES),
    ...middle,
    message(TYPE.batchEnd, 0, seq + 1 + runs.length, 0, SUBSYS_NFTABLES),
  ]);
}

export type Ack = { readonly seq: number; readonly errno: number };

/** Acknowledgements in what the socket received; errno 0 is success. */
export function parseAcks(bytes: Buffer): readonly Ack[] {
  const acks: Ack[] = [];
  for (let at = 0; at + 20 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < 16) break;
    if (bytes.readUInt16LE(at + 4) === TYPE.error)
      acks.push({ seq: bytes.readUInt32LE(at + 8), errno: bytes.readInt32LE(at + 16) });
    at += align(length);
  }
  return acks;
}
