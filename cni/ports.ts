/**
 * Ports of the node that lead to a pod (`hostPort`): how they are asked for, and the nft table that
 * forwards them. Pure. One lookup a packet, whatever the number of ports.
 *
 * By 127.0.0.1 too, from the node alone: the pod then sees the gateway's address. For that the kernel routes
 * loopback addresses (route_localnet) on the bridge and the pod's link, and on no other. What that opens
 * (CVE-2020-8558) is shut: of what pods send, nothing to 127.0.0.0/8 gets past this table, nor past the anti-spoofing one.
 */
import { BRIDGE, PORTS_TABLE, VETH_PREFIX } from '../constants.ts';
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

/** Whether 127.0.0.1 leads to the pod too. */
export const fromLoopback = (lease: Pick<Lease, 'ips' | 'ports'>): boolean =>
  lease.ips.some(ip => familyOf(ip) === 4) &&
  (lease.ports ?? []).some(({ hostIp }) => hostIp === undefined || hostIp.startsWith('127.'));

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
  const toPods = FAMILIES.flatMap(({ n, word }) => [
    `    dnat ${word} to ${word} daddr . meta l4proto . th dport map @own${n}`,
    `    dnat ${word} to meta l4proto . th dport map @any${n}`,
  ]);
  const back = FAMILIES.flatMap(({ n, word, loopback }) =>
    gateways
      .filter(gateway => familyOf(gateway) === n)
      .flatMap(gateway => [
        `    ct status dnat ${word} saddr . ${word} daddr @self${n} snat ${word} to ${gateway}`,
        // The kernel has no such way for ::1: there the node's process must choose another source.
        ...(n === 4
          ? [`    ct status dnat oifname "${VETH_PREFIX}*" ip saddr ${loopback} snat ip to ${gateway}`]
          : []),
      ]),
  );
  const entrance = (hook: string, ...before: readonly string[]): string[] => [
    `  chain ${hook} {`,
    `    type nat hook ${hook} priority -101; policy accept;`,
    ...before,
    '    fib daddr type local jump to_pods',
    '  }',
  ];
  const guard = [
    '  chain guard {',
    '    type filter hook prerouting priority -300; policy accept;',
    ...FAMILIES.map(({ word, loopback }) => `    iifname "${BRIDGE}" ${word} daddr ${loopback} drop`),
    '  }',
  ];
  const notFromOutside = FAMILIES.map(({ word, loopback }) => `    ${word} daddr ${loopback} return`);
  return [
    `table inet ${PORTS_TABLE} {`,
    ...maps,
    '  chain to_pods {',
    ...toPods,
    '  }',
    ...guard,
    ...entrance('prerouting', ...notFromOutside),
    ...entrance('output'),
    '  chain postrouting {',
    '    type nat hook postrouting priority 98; policy accept;',
    ...back,
    '  }',
    '}',
    '',
  ].join('\n');
}
