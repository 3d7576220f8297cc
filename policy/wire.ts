/** Operations on elements as what nfnetlink takes: a forked `nft` costs a hundred times as much. Pure. */
import { cidrRange, ipFromNumber, ipToBytes, parseCidr, parseIp, remember } from '../ip.ts';
import type { ElementChange, Verdict } from '../platform/linux/types.ts';
import type { ElementText, Operation, Target } from './types.ts';

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** First and last value of a field, in network order and padded to 4 bytes. */
type Field = { readonly first: Buffer; readonly last: Buffer };

const padded = (bytes: Buffer): Buffer =>
  bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);

/** A pod's address is in several elements. */
const addressBytes = remember((text: string): Buffer => {
  const ip = parseIp(text);
  if (!ip.ok) throw new Error(ip.error);
  return ipToBytes(ip.value);
});

function addressField(text: string): Field {
  if (text.includes('/')) {
    const cidr = parseCidr(text);
    if (!cidr.ok) throw new Error(cidr.error);
    const { family, first, last } = cidrRange(cidr.value);
    return { first: ipToBytes(ipFromNumber(family, first)), last: ipToBytes(ipFromNumber(family, last)) };
  }
  const [first = '', last = first] = text.split('-');
  return { first: addressBytes(first), last: addressBytes(last) };
}

const numberField =
  (size: 1 | 2) =>
  (text: string): Field => {
    const bytes = (word: string): Buffer => {
      const number = PROTOCOLS[word] ?? Number(word);
      const buffer = Buffer.alloc(size);
      buffer.writeUIntBE(number, 0, size);
      return padded(buffer);
    };
    const [first = '', last = first] = text.split('-');
    return { first: bytes(first), last: bytes(last) };
  };

const FIELDS = { address: addressField, protocol: numberField(1), port: numberField(2) } as const;

/** Fields of each kind of set; the kind is the last word of its name, before the family. */
const SHAPES: Readonly<Record<string, readonly (keyof typeof FIELDS)[]>> = {
  port: ['protocol', 'port'],
  peer: ['address'],
  exact: ['address', 'protocol', 'port'],
  box: ['address', 'protocol', 'port'],
  self: ['address', 'address'],
  cut: ['address', 'port', 'address', 'port'],
  flow: ['protocol', 'address', 'port', 'address', 'port'],
};

const kindOf = (set: string): string => /([a-z]+)[46]?$/.exec(set)?.[1] ?? '';

/** An element's key as the kernel holds it. Throws where the text is no element of such a set. */
export function elementKey(
  set: string,
  text: ElementText,
): { readonly key: Buffer; readonly keyEnd: Buffer | undefined } {
  const kind = kindOf(set);
  const shape = SHAPES[kind];
  const words = text.split(' . ');
  if (shape === undefined || words.length !== shape.length)
    throw new Error(`${JSON.stringify(text)} is no element of ${set}`);
  const fields = shape.map((field, n) => FIELDS[field](words[n] as string));
  const key = Buffer.concat(fields.map(field => field.first));
  // Sets of ranges want an end for every element.
  const keyEnd = kind === 'box' ? Buffer.concat(fields.map(field => field.last)) : undefined;
  return { key, keyEnd };
}

const verdictOf = (target: Target): Verdict => ({ kind: 'jump', chain: target });

function elementChanges(
  op: 'add' | 'delete',
  set: string,
  elements: readonly ElementText[],
): readonly ElementChange[] {
  return elements.map(text => {
    const { key, keyEnd } = elementKey(set, text);
    return { op, set, key, ...(keyEnd !== undefined && { keyEnd }) };
  });
}

function bindChanges(op: Operation & { readonly kind: 'bind' }): readonly ElementChange[] {
  const base = { set: op.map, key: addressBytes(op.ip) };
  return [
    ...(op.from === undefined ? [] : [{ ...base, op: 'delete' as const }]),
    ...(op.to === undefined ? [] : [{ ...base, op: 'add' as const, verdict: verdictOf(op.to) }]),
  ];
}

/** The same operations as element changes, in the same order; undefined where a chain is made or removed. */
export function toElementChanges(operations: readonly Operation[]): readonly ElementChange[] | undefined {
  const changes: ElementChange[] = [];
  for (const operation of operations) {
    if (operation.kind === 'addChain' || operation.kind === 'deleteChain') return undefined;
    if (operation.kind === 'bind') changes.push(...bindChanges(operation));
    else
      changes.push(
        ...elementChanges(
          operation.kind === 'addElements' ? 'add' : 'delete',
          operation.set,
          operation.elements,
        ),
      );
  }
  return changes;
}
