/**
 * Nobody sends as somebody else: in the bridge family, where iifname is the pod's own port, a
 * frame must carry the pod's MAC and one of its addresses. Pure: the table's text and the keys.
 *
 * Beside its own address a pod may use the link-local and unspecified ones that neighbour
 * discovery and multicast listening need. It may not advertise itself as a router.
 */
import { NFT_TABLE, VETH_PREFIX } from '../constants.ts';
import { familyOf, ipToBytes } from '../ip.ts';
import { macToBytes } from '../platform/linux/attrs.ts';
import { concatKey, ifnameKey } from '../platform/linux/nfset.ts';
import type { ElementChange } from '../platform/linux/types.ts';
import type { Lease } from './lease.ts';

const PORTS = `iifname "${VETH_PREFIX}*"`;
const DROP = 'counter name spoofed_dropped drop';

/**
 * Written down by the kernel where a pod sends with a MAC that is not its own, so that somebody can be told. In a rule of
 * its own: one that cannot be written down, since the set is full, ends its rule there, and the next one still drops.
 */
export const STRANGERS = 'strangers';
const STRANGE = `${PORTS} iifname . ether saddr != @port`;

/** Our table of the bridge family; its sets are filled element by element. */
export const antiSpoofTable = (enabled: boolean): string =>
  [
    `table bridge ${NFT_TABLE} {`,
    '  counter spoofed_dropped { }',
    '  set pod4 {',
    '    type ifname . ether_addr . ipv4_addr',
    '  }',
    '  set pod6 {',
    '    type ifname . ether_addr . ipv6_addr',
    '  }',
    '  set port {',
    '    type ifname . ether_addr',
    '  }',
    `  set ${STRANGERS} {`,
    '    type ifname . ether_addr',
    '    size 256',
    '    flags dynamic,timeout',
    '    timeout 10m',
    '  }',
    '  chain ingress {',
    '    type filter hook prerouting priority -300; policy accept;',
    // The node may route loopback addresses for hostPorts; a pod's packet must never find one of them.
    `    ${PORTS} ip daddr 127.0.0.0/8 ${DROP}`,
    `    ${PORTS} ip6 daddr ::1 ${DROP}`,
    ...(enabled
      ? [
          `    ${STRANGE} update @${STRANGERS} { iifname . ether saddr }`,
          `    ${STRANGE} ${DROP}`,
          `    ${PORTS} ether type arp iifname . arp saddr ether . arp saddr ip != @pod4 ${DROP}`,
          `    ${PORTS} ether type ip iifname . ether saddr . ip saddr != @pod4 ${DROP}`,
          `    ${PORTS} icmpv6 type { nd-router-advert, nd-redirect } ${DROP}`,
          `    ${PORTS} ether type ip6 ip6 saddr { ::, fe80::/10 } icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept`,
          `    ${PORTS} ether type ip6 iifname . ether saddr . ip6 saddr != @pod6 ${DROP}`,
          `    ${PORTS} ether type != { arp, ip, ip6 } ${DROP}`,
        ]
      : []),
    '  }',
    '}',
    '',
  ].join('\n');

/** The same as `podElements`, as nft's text: for a table that is written whole. */
export function podElementsText(lease: Lease): string {
  const port = `"${lease.link}" . ${lease.podMac}`;
  const add = (set: string, element: string): string =>
    `add element bridge ${NFT_TABLE} ${set} { ${element} }\n`;
  return [add('port', port), ...lease.ips.map(ip => add(`pod${familyOf(ip)}`, `${port} . ${ip}`))].join('');
}

/** A pod, element by element: the port with its MAC, and each address. */
export function podElements(lease: Lease, op: ElementChange['op']): readonly ElementChange[] {
  const port = [ifnameKey(lease.link), macToBytes(lease.podMac)] as const;
  return [
    { op, set: 'port', key: concatKey(...port) },
    ...lease.ips.map(ip => ({ op, set: `pod${familyOf(ip)}`, key: concatKey(...port, ipToBytes(ip)) })),
  ];
}
