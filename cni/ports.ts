/**
 * Ports of the node that lead to a pod (`hostPort`): how they are asked for, and the nft table that
 * forwards them. Pure. One lookup a packet, whatever the number of ports.
 *
 * Not by 127.0.0.1: the kernel would have to route loopback addresses (route_localnet), and then
 * neighbours of the node could reach what listens there (CVE-2020-8558).
 */
import { PORTS_TABLE } from '../constants.ts';
import { familyOf, ipToBytes, parseIp } from '../ip.ts';
import { concatKey } from '../platform/linux/nfset.ts';
import type { ElementChange } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import { folded } from './folded.ts';
import type { Lease } from './lease.ts';

/** Numbers of the protocols that have ports. */
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

export type PortProtocol = keyof typeof PROTOCOLS;

export type PortMapping = {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: PortProtocol;
  /** Only by this address of the node; absent: by every one. */
  readonly hostIp?: Ip;
};

const badPort = (value: unknown, why: string): CniError =>
  new CniError(CODES.badConfig, `portMappings: ${JSON.stringify(value)} ${why}`);

const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;

const ANY = ['', '0.0.0.0', '::'];

function hostIpOf(given: unknown, mapping: unknown): Ip | undefined {
  if (given === undefined || given === null || ANY.includes(given as string)) return undefined;
  const ip = parseIp(typeof given === 'string' ? given : '');
  if (!ip.ok) throw badPort(mapping, 'has a hostIP that is no address');
  if (ip.value.startsWith('127.') || ip.value === '::1')
    throw badPort(
      mapping,
      'asks for a port on the loopback address, which would open the node’s own services to its neighbours (CVE-2020-8558); leave hostIP out, or name an address of the node',
    );
  return ip.value;
}

/** One of `runtimeConfig.portMappings`; undefined for those that ask for no port of the node. Throws CniError. */
export function parsePort(mapping: unknown): PortMapping | undefined {
  if (typeof mapping !== 'object' || mapping === null) throw badPort(mapping, 'is no object');
  const { hostport: hostPort, containerport: containerPort, protocol = 'tcp', hostip } = folded(mapping);
  if (hostPort === undefined || hostPort === 0) return undefined;
  if (!isPort(hostPort) || !isPort(containerPort)) throw badPort(mapping, 'has no port from 1 to 65535');
  const name = typeof protocol === 'string' ? protocol.toLowerCase() : '';
  if (!Object.hasOwn(PROTOCOLS, name))
    throw badPort(mapping, 'has a protocol that is none of tcp, udp, sctp');
  const hostIp = hostIpOf(hostip, mapping);
  return { hostPort, containerPort, protocol: name as PortProtocol, ...(hostIp !== undefined && { hostIp }) };
}

const meet = (a: PortMapping, b: PortMapping): boolean =>
  a.hostPort === b.hostPort &&
  a.protocol === b.protocol &&
  (a.hostIp === undefined || b.hostIp === undefined || a.hostIp === b.hostIp);

export type Clash = { readonly port: PortMapping; readonly with: Lease };

/** The first port that another attachment holds. */
export function portClash(ports: readonly PortMapping[], leases: readonly Lease[]): Clash | undefined {
  for (const lease of leases)
    for (const port of ports) if (lease.ports?.some(held => meet(held, port))) return { port, with: lease };
  return undefined;
}

/** A port of the node that something of weft's own, or of the node's, answers on. `holder`: for people. */
export type ReservedPort = {
  readonly port: number;
  readonly protocol: PortProtocol;
  readonly holder: string;
};

/** The first reserved port that is asked for: led to a pod, it would be lost to its holder. */
export const reservedPort = (
  ports: readonly PortMapping[],
  reserved: readonly ReservedPort[],
): ReservedPort | undefined =>
  reserved.find(one => ports.some(port => port.hostPort === one.port && port.protocol === one.protocol));

const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255]);

/** A mapping as it stands in one family's map, or undefined where it has no part there. */
type Entry = { readonly map: string; readonly ip: Ip; readonly port: PortMapping };

const entries = (lease: Pick<Lease, 'ips' | 'ports'>): readonly Entry[] =>
  (lease.ports ?? []).flatMap(port =>
    lease.ips
      .filter(ip => port.hostIp === undefined || familyOf(port.hostIp) === familyOf(ip))
      .map(ip => ({ map: `${port.hostIp === undefined ? 'any' : 'own'}${familyOf(ip)}`, ip, port })),
  );

/** Of a pod with ports also the pair of its address with itself, for the way from a pod to its own port. */
export function portElements(
  lease: Pick<Lease, 'ips' | 'ports'>,
  op: ElementChange['op'],
): readonly ElementChange[] {
  const all = entries(lease);
  const mapped = all.map(({ map, ip, port }) => {
    const key = [Buffer.from([PROTOCOLS[port.protocol]]), u16(port.hostPort)];
    return {
      op,
      set: map,
      key: concatKey(...(port.hostIp === undefined ? key : [ipToBytes(port.hostIp), ...key])),
      data: concatKey(ipToBytes(ip), u16(port.containerPort)),
    };
  });
  const selves = [...new Set(all.map(({ ip }) => ip))].map(ip => ({
    op,
    set: `self${familyOf(ip)}`,
    key: concatKey(ipToBytes(ip), ipToBytes(ip)),
  }));
  return [...mapped, ...selves];
}

/** As nft lists an element, by set: what a listing must hold for a pod. */
export const portLines = (lease: Pick<Lease, 'ips' | 'ports'>): readonly string[] => {
  const all = entries(lease);
  return [
    ...all.map(({ map, ip, port }) => {
      const own = port.hostIp === undefined ? '' : `${port.hostIp} . `;
      return `${map} ${own}${port.protocol} . ${port.hostPort} : ${ip} . ${port.containerPort}`;
    }),
    ...[...new Set(all.map(({ ip }) => ip))].map(ip => `self${familyOf(ip)} ${ip} . ${ip}`),
  ];
};

const FAMILIES = [
  { n: 4, word: 'ip', type: 'ipv4_addr', loopback: '127.0.0.0/8' },
  { n: 6, word: 'ip6', type: 'ipv6_addr', loopback: '::1' },
] as const;

/** The same as text, for a table that is written whole. */
export const portAdds = (leases: readonly Lease[]): string =>
  leases
    .flatMap(portLines)
    .map(line => line.split(/ (.*)/s))
    .map(([set, element]) => `add element inet ${PORTS_TABLE} ${set} { ${element} }\n`)
    .join('');

const BLOCK = /\n\t(?:map|set) (\w+) \{\n[^}]*?elements = \{([^}]*)\}/g;

/** What is in the sets of a listing, in the form of `portLines`. */
export const listedPorts = (listing: string): readonly string[] =>
  [...listing.matchAll(BLOCK)].flatMap(([, set, elements = '']) =>
    elements.split(',').map(element => `${set} ${element.trim()}`),
  );

/** The table, its sets empty. Its chains come before kube-proxy's, where a NodePort of that number would win. */
export function portsTable(gateways: readonly Ip[]): string {
  const maps = FAMILIES.flatMap(({ n, type }) => [
    `  map any${n} {`,
    `    type inet_proto . inet_service : ${type} . inet_service`,
    '  }',
    `  map own${n} {`,
    `    type ${type} . inet_proto . inet_service : ${type} . inet_service`,
    '  }',
    `  set self${n} {`,
    `    type ${type} . ${type}`,
    '  }',
  ]);
  const toPods = FAMILIES.flatMap(({ n, word, loopback }) => [
    `    ${word} daddr ${loopback} return`,
    `    dnat ${word} to ${word} daddr . meta l4proto . th dport map @own${n}`,
    `    dnat ${word} to meta l4proto . th dport map @any${n}`,
  ]);
  const back = FAMILIES.flatMap(({ n, word }) =>
    gateways
      .filter(gateway => familyOf(gateway) === n)
      .map(
        gateway => `    ct status dnat ${word} saddr . ${word} daddr @self${n} snat ${word} to ${gateway}`,
      ),
  );
  const entrance = (hook: string): string[] => [
    `  chain ${hook} {`,
    `    type nat hook ${hook} priority -101; policy accept;`,
    '    fib daddr type local jump to_pods',
    '  }',
  ];
  return [
    `table inet ${PORTS_TABLE} {`,
    ...maps,
    '  chain to_pods {',
    ...toPods,
    '  }',
    ...entrance('prerouting'),
    ...entrance('output'),
    '  chain postrouting {',
    '    type nat hook postrouting priority 98; policy accept;',
    ...back,
    '  }',
    '}',
    '',
  ].join('\n');
}
