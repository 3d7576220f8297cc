/**
 * Set elements of our nft tables by nfnetlink (linux/netfilter/nf_tables.h): one atomic batch, one
 * round trip. A forked `nft` takes tens of milliseconds, more beside other people's large tables.
 */

import { getSystemErrorName } from 'node:util';
import { Protocol, RawNetlinkSocket } from 'netlink';
import { attr, nest, text } from './attrs.ts';
import { LinuxError } from './errors.ts';
import type { ElementChange, NftFamily } from './types.ts';

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
const ELEMENT = { key: 1, data: 2 } as const;
const DATA_VALUE = 1;

const align = (length: number): number => (length + 3) & ~3;

/** Fields of a concatenated key, each padded to 4 bytes. */
export const concatKey = (...fields: readonly Uint8Array[]): Buffer =>
  Buffer.concat(
    fields.map(field => Buffer.concat([field, Buffer.alloc(align(field.length) - field.length)])),
  );

/** An interface name as a key field: 16 bytes. */
export const ifnameKey = (name: string): Buffer =>
  Buffer.concat([Buffer.from(name), Buffer.alloc(16 - name.length)]);

/** struct nlmsghdr and struct nfgenmsg before the attributes. */
function message(
  type: number,
  flags: number,
  seq: number,
  family: number,
  resource: number,
  attrs: Uint8Array,
): Buffer {
  const bytes = Buffer.alloc(20 + attrs.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | FLAG.request, 6);
  bytes.writeUInt32LE(seq, 8);
  bytes.writeUInt8(family, 16);
  bytes.writeUInt16BE(resource, 18);
  bytes.set(attrs, 20);
  return bytes;
}

const element = ({ key, data }: ElementChange): Buffer =>
  nest(
    NESTED | 1,
    nest(NESTED | ELEMENT.key, attr(DATA_VALUE, key)),
    ...(data === undefined ? [] : [nest(NESTED | ELEMENT.data, attr(DATA_VALUE, data))]),
  );

/** One batch; message number n of the changes has sequence number `seq + 1 + n`. */
export function encodeBatch(
  family: NftFamily,
  table: string,
  changes: readonly ElementChange[],
  seq: number,
): Buffer {
  const none = Buffer.alloc(0);
  const middle = changes.map((change, n) =>
    message(
      change.op === 'add' ? TYPE.newElement : TYPE.deleteElement,
      FLAG.ack | (change.op === 'add' ? FLAG.create : 0),
      seq + 1 + n,
      FAMILY[family],
      0,
      Buffer.concat([
        text(LIST.table, table),
        text(LIST.set, change.set),
        nest(NESTED | LIST.elements, element(change)),
      ]),
    ),
  );
  return Buffer.concat([
    message(TYPE.batchBegin, 0, seq, 0, SUBSYS_NFTABLES, none),
    ...middle,
    message(TYPE.batchEnd, 0, seq + 1 + changes.length, 0, SUBSYS_NFTABLES, none),
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

export type SetElements = {
  /** All or nothing. Rejects with LinuxError: ENOENT for a set or, on delete, an element that is not there. */
  readonly change: (family: NftFamily, table: string, changes: readonly ElementChange[]) => Promise<void>;
  readonly close: () => void;
};

type Waiting = { left: number; readonly done: (error?: LinuxError) => void };

const TIMEOUT_MS = 5_000;

/** Opens the socket in this process's network namespace. Changes may overlap in time. */
export function openSetElements(): SetElements {
  const waiting = new Map<number, Waiting>();
  let seq = 1;

  const onAck = ({ seq: number, errno }: Ack): void => {
    const one = waiting.get(number);
    if (one === undefined) return;
    if (errno !== 0) {
      const code = getSystemErrorName(errno);
      one.done(new LinuxError(code, `nft set elements: ${code}`));
      return;
    }
    one.left -= 1;
    if (one.left === 0) one.done();
  };
  const open = (): RawNetlinkSocket => {
    const made = new RawNetlinkSocket(Protocol.NETFILTER, {
      recvBufferSize: 1 << 20,
      sendBufferSize: 1 << 20,
    });
    made.unref();
    made.on('message', bytes => parseAcks(bytes).forEach(onAck));
    // The package closes a socket after an error; whoever waits for an answer would wait in vain.
    made.on('error', error => {
      socket = open();
      for (const one of new Set(waiting.values()))
        one.done(new LinuxError(error.code, `nft set elements: ${error.code}`));
    });
    return made;
  };
  let socket = open();

  const change: SetElements['change'] = (family, table, changes) => {
    const first = seq;
    const numbers = Array.from({ length: changes.length + 2 }, (_, n) => first + n);
    seq += numbers.length;
    return new Promise((resolve, reject) => {
      const done = (error?: LinuxError): void => {
        clearTimeout(timer);
        for (const number of numbers) waiting.delete(number);
        error === undefined ? resolve() : reject(error);
      };
      const timer = setTimeout(
        () => done(new LinuxError('ETIMEDOUT', 'nft set elements: the kernel did not answer')),
        TIMEOUT_MS,
      );
      const one: Waiting = { left: changes.length, done };
      for (const number of numbers) waiting.set(number, one);
      socket.send(encodeBatch(family, table, changes, first), undefined, error => {
        if (error) done(new LinuxError(error.code, `nft set elements: ${error.code}`, error));
      });
    });
  };
  return { change, close: () => socket.close() };
}
