/**
 * Plan → the text of our table `inet weft`. Pure, sorted; test/mesh/golden shows it whole.
 *
 * Fail closed: pod traffic that comes in by, or would leave by, a link that is neither ours
 * nor a pod's is dropped and counted. It holds before the first tunnel and after the agent.
 */
import { BRIDGE, NFT_TABLE, VETH_PREFIX, WG_LINK } from '../constants.ts';
import { familyOf } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import type { MeshPlan } from './types.ts';

type Family = {
  readonly n: 4 | 6;
  readonly word: 'ip' | 'ip6';
  readonly own: readonly Cidr[];
  readonly gateway: Ip | undefined;
};

const families = (plan: MeshPlan): readonly Family[] =>
  ([4, 6] as const).map(n => ({
    n,
    word: n === 4 ? 'ip' : 'ip6',
    own: plan.self.podCidrs.filter(cidr => familyOf(cidr) === n),
    gateway: plan.self.gateways.find(ip => familyOf(ip) === n),
  }));

const set = (name: string, n: 4 | 6, cidrs: readonly Cidr[]): string[] => [
  `set ${name}${n} {`,
  `  type ${n === 4 ? 'ipv4_addr' : 'ipv6_addr'}`,
  '  flags interval',
  ...(cidrs.length > 0 ? [`  elements = { ${cidrs.join(', ')} }`] : []),
  '}',
];

const sets = (plan: MeshPlan): string[] =>
  ([4, 6] as const).flatMap(n => {
    const of = (cidrs: readonly Cidr[]) => cidrs.filter(cidr => familyOf(cidr) === n);
    return [...set('cluster', n, of(plan.clusterCidrs)), ...set('unmasked', n, of(plan.settings.unmasked))];
  });

const chain = (name: string, hook: string, rules: readonly string[]): string[] => [
  `chain ${name} {`,
  `  type ${hook}; policy accept;`,
  ...rules.map(rule => `  ${rule}`),
  '}',
];

const quoted = (links: readonly string[]): string => `{ ${links.map(link => `"${link}"`).join(', ')} }`;

const direct = (plan: MeshPlan): string =>
  quoted([...new Set([BRIDGE, 'lo', WG_LINK, ...plan.settings.directLinks])].sort());

const DROP = 'counter name plaintext_dropped drop';

const ingress = (plan: MeshPlan): string[] => [
  `iifname ${direct(plan)} accept`,
  `iifname "${VETH_PREFIX}*" accept`,
  `ip saddr @cluster4 ${DROP}`,
  `ip6 saddr @cluster6 ${DROP}`,
  `ct direction original ip daddr @cluster4 ${DROP}`,
  `ct direction original ip6 daddr @cluster6 ${DROP}`,
];

/**
 * What comes out of the tunnel is for pods: a peer may not use this node as its router. Answers of remote pods to
 * those who came in by a NodePort here go on; what conntrack does not know has no direction and is dropped.
 */
const forward = (): string[] => [
  `iifname "${WG_LINK}" ct direction reply accept`,
  `iifname "${WG_LINK}" oifname != "${VETH_PREFIX}*" counter name strayed_dropped drop`,
];

const egress = (plan: MeshPlan): string[] => [
  `oifname ${direct(plan)} accept`,
  `oifname "${VETH_PREFIX}*" accept`,
  `ip daddr @cluster4 ${DROP}`,
  `ip6 daddr @cluster6 ${DROP}`,
  `ip daddr @unmasked4 accept`,
  `ip6 daddr @unmasked6 accept`,
  // Where pods leave with their own addresses on purpose, there is nothing to drop.
  ...(plan.settings.masquerade ? [`ip saddr @cluster4 ${DROP}`, `ip6 saddr @cluster6 ${DROP}`] : []),
];

/** MASQUERADE and DNAT of local processes choose the uplink's address, which the far side's AllowedIPs refuse. */
const nodeSource = (plan: MeshPlan): string[] =>
  families(plan).flatMap(f =>
    f.gateway === undefined
      ? []
      : [`oifname "${WG_LINK}" ${f.word} saddr != { ${f.own.join(', ')} } snat ${f.word} to ${f.gateway}`],
  );

const OWN_LINKS = quoted([BRIDGE, 'lo', WG_LINK].sort());

/** Also by direct links: they are open to pods, and `unmasked` says towards whom pods keep their address. */
const masquerade = (plan: MeshPlan): string[] =>
  families(plan).flatMap(f => {
    if (f.own.length === 0) return [];
    const { n, word } = f;
    const leaving = `oifname != ${OWN_LINKS} ${word} saddr { ${f.own.join(', ')} }`;
    const nodes = plan.unmaskedNodes.filter(ip => familyOf(ip) === n);
    return [
      ...(nodes.length > 0 ? [`${leaving} ${word} daddr { ${nodes.join(', ')} } masquerade`] : []),
      `${leaving} ${word} daddr != @cluster${n} ${word} daddr != @unmasked${n} masquerade`,
    ];
  });

/** TCP must fit the tunnel even where ICMP is lost on the way. */
const clamp = [
  `oifname "${WG_LINK}" tcp flags syn tcp option maxseg size set rt mtu`,
  `iifname "${WG_LINK}" tcp flags syn tcp option maxseg size set rt mtu`,
];

const indent = (lines: readonly string[]): string[] => lines.map(line => `  ${line}`);

/**
 * The whole table, without the lines that make it: `nft/apply` puts it into one transaction.
 * Sets of pods belong to other rooms and stand in tables of their own.
 */
export const meshTable = (plan: MeshPlan): string =>
  [
    `table inet ${NFT_TABLE} {`,
    ...indent([
      'counter plaintext_dropped { }',
      'counter strayed_dropped { }',
      ...sets(plan),
      ...chain('ingress', 'filter hook prerouting priority -150', ingress(plan)),
      ...chain('forward', 'filter hook forward priority -10', [...clamp, ...forward()]),
      ...chain('egress', 'filter hook postrouting priority 150', egress(plan)),
      ...chain('node_source', 'nat hook postrouting priority 99', nodeSource(plan)),
      ...chain(
        'outside_source',
        'nat hook postrouting priority 100',
        plan.settings.masquerade ? masquerade(plan) : [],
      ),
    ]),
    '}',
    '',
  ].join('\n');
