/** Rules of a NetworkPolicy: peers and ports. What does not parse becomes `broken` and meets nobody. Pure. */
import { familyOf, ipFromNumber, ipToNumber, parseIp } from '../ip.ts';
import type { Cidr } from '../types.ts';
import { isAbsent, type Reader, readList, readObject, show } from './fields.ts';
import { readSelector } from './parseselector.ts';
import type { Peer, Port, Protocol, Rule } from './types.ts';

const BROKEN = { kind: 'broken' } as const;
const NOBODY = 'this peer admits nobody until it is mended';
const NOTHING = 'this port admits nothing until it is mended';
const NO_RULE = 'this rule admits nothing until it is mended';

/** As the API server takes it: host bits are ignored, and so are leading zeros of IPv4. */
function networkIn(text: string): Cidr | undefined {
  const [address = '', length = '', more] = text.split('/');
  const plain = address.includes(':') ? address : address.replace(/(^|\.)0+(?=\d)/g, '$1');
  const ip = parseIp(plain);
  if (!ip.ok || more !== undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const family = familyOf(ip.value);
  const mapped = family === 4 && address.includes(':');
  const bits = (family === 4 ? 32 : 128) - (Number(length) - (mapped ? 96 : 0));
  if (bits < 0 || bits > (family === 4 ? 32 : 128)) return undefined;
  const shift = BigInt(bits);
  return `${ipFromNumber(family, (ipToNumber(ip.value) >> shift) << shift)}/${(family === 4 ? 32 : 128) - bits}` as Cidr;
}

function network(reader: Reader, field: string, value: unknown): Cidr | undefined {
  const cidr = typeof value === 'string' ? networkIn(value) : undefined;
  return (
    cidr ?? reader.wrong(field, `${show(value)} is not a network such as 10.0.0.0/8 or fd00::/8; ${NOBODY}`)
  );
}

function block(reader: Reader, field: string, value: unknown): Peer {
  const fields = readObject(reader, field, value, ['cidr', 'except'], NOBODY);
  const list = fields && readList(reader, `${field}.except`, fields.except, NOBODY);
  if (fields === undefined || list === undefined) return BROKEN;
  const cidr = network(reader, `${field}.cidr`, fields.cidr);
  const excepts = list.map((item, n) => network(reader, `${field}.except[${n}]`, item));
  const whole = excepts.filter(item => item !== undefined);
  return cidr === undefined || whole.length < excepts.length
    ? BROKEN
    : { kind: 'block', cidr, excepts: whole };
}

function peer(reader: Reader, field: string, value: unknown): Peer {
  const fields = readObject(reader, field, value, ['podSelector', 'namespaceSelector', 'ipBlock'], NOBODY);
  if (fields === undefined) return BROKEN;
  const { podSelector, namespaceSelector, ipBlock } = fields;
  const selectors = !isAbsent(podSelector) || !isAbsent(namespaceSelector);
  if (selectors !== isAbsent(ipBlock)) {
    reader.wrong(
      field,
      `give either ipBlock, or podSelector and namespaceSelector or one of them; ${NOBODY}`,
    );
    return BROKEN;
  }
  if (!selectors) return block(reader, `${field}.ipBlock`, ipBlock);
  const pods = readSelector(reader, `${field}.podSelector`, podSelector);
  const namespaces = readSelector(reader, `${field}.namespaceSelector`, namespaceSelector);
  if (!pods.whole || !namespaces.whole) return BROKEN;
  return {
    kind: 'pods',
    namespaces: isAbsent(namespaceSelector) ? undefined : namespaces.selector,
    pods: pods.selector,
  };
}

const isProtocol = (value: unknown): value is Protocol =>
  value === 'TCP' || value === 'UDP' || value === 'SCTP';

const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535;

/** As the API server checks it: a port's name has a letter. */
const isPortName = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z0-9-]{1,15}$/.test(value) && /[a-z]/.test(value);

function range(protocol: Protocol, first: unknown, last: unknown): Port | undefined {
  if (isAbsent(first) && isAbsent(last)) return { kind: 'range', protocol, first: 0, last: 65_535 };
  if (isPortName(first) && isAbsent(last)) return { kind: 'named', protocol, name: first };
  if (isPort(first) && isAbsent(last)) return { kind: 'range', protocol, first, last: first };
  if (isPort(first) && isPort(last) && last >= first) return { kind: 'range', protocol, first, last };
  return undefined;
}

function port(reader: Reader, field: string, value: unknown): Port {
  const fields = readObject(reader, field, value, ['protocol', 'port', 'endPort'], NOTHING);
  if (fields === undefined) return BROKEN;
  const protocol = isAbsent(fields.protocol) ? 'TCP' : fields.protocol;
  if (!isProtocol(protocol)) {
    reader.wrong(`${field}.protocol`, `${show(protocol)} is none of TCP, UDP and SCTP; ${NOTHING}`);
    return BROKEN;
  }
  const parsed = range(protocol, fields.port, fields.endPort);
  if (parsed !== undefined) return parsed;
  reader.wrong(
    field,
    `${show(value)} names no port: give a number from 1 to 65535, with an endPort not below it or without, or a port's name; ${NOTHING}`,
  );
  return BROKEN;
}

/** `side` is `from` or `to`. */
export function readRule(reader: Reader, field: string, value: unknown, side: 'from' | 'to'): Rule {
  const fields = readObject(reader, field, value, [side, 'ports'], NO_RULE);
  const peers = fields && readList(reader, `${field}.${side}`, fields[side], NO_RULE);
  const ports = fields && readList(reader, `${field}.ports`, fields.ports, NO_RULE);
  if (peers === undefined || ports === undefined) return { peers: [BROKEN], ports: undefined };
  return {
    peers:
      peers.length === 0 ? undefined : peers.map((item, n) => peer(reader, `${field}.${side}[${n}]`, item)),
    ports:
      ports.length === 0 ? undefined : ports.map((item, n) => port(reader, `${field}.ports[${n}]`, item)),
  };
}
