/** Facts of this host → what a person should know of it. Pure. */
import { BRIDGE, WG_LINK } from '../constants.ts';
import { isFirewalld } from './firewalld.ts';
import type { BaseChain, Finding, ForwardFact, HostFacts } from './types.ts';

const named = (kind: ForwardFact['kind'], { family, table, name }: BaseChain): string =>
  kind === 'legacy'
    ? `${name} of ${family === 'ip6' ? 'ip6tables' : 'iptables'}-legacy`
    : `${name} of the nft table ${family} ${table}`;

/** Lines for a shell. */
const firewalld = (...changes: readonly string[]): string =>
  [...changes.map(change => `firewall-cmd --permanent ${change}`), 'firewall-cmd --reload'].join('; ');

const trusted = (cidrs: readonly string[]): readonly string[] =>
  [
    ...cidrs.map(cidr => `--add-source=${cidr}`),
    ...[BRIDGE, WG_LINK].map(link => `--add-interface=${link}`),
  ].map(change => `--zone=trusted ${change}`);

const openPort = (port: number): string => `--add-port=${port}/udp`;

/** Read anew at each reload. */
const NO_PATH_FILTER = "sed -i 's/^IPv6_rpfilter=.*/IPv6_rpfilter=no/' /etc/firewalld/firewalld.conf";

/** All that it needs to let weft's through. */
const firewalldCure = ({ clusterCidrs, listenPort }: HostFacts): string =>
  [
    ...(clusterCidrs.some(cidr => cidr.includes(':')) ? [NO_PATH_FILTER] : []),
    firewalld(...trusted(clusterCidrs), openPort(listenPort)),
  ].join('; ');

const blockedCure = (fact: ForwardFact, facts: HostFacts): string => {
  if (isFirewalld(fact)) return firewalldCure(facts);
  if (/ufw/.test(fact.blockedBy ?? '')) return 'ufw default deny routed';
  return `before that rule, accept what comes in by weft* or goes out by weft* and wv*`;
};

function forwardFinding(fact: ForwardFact, facts: HostFacts): Finding | undefined {
  const { kind, chain, ours, blockedBy, error } = fact;
  const id = `forward ${kind === 'legacy' ? 'legacy ' : ''}${chain.family} ${chain.table} ${chain.name}`;
  const where = named(kind, chain);
  if (error !== undefined)
    return {
      id,
      severity: 'error',
      what: `The chain ${where} drops what it does not know, pods' packets too, and weft's own rules cannot be put there: ${error}`,
      cure: `by hand, at its end: accept what comes in by weft* or goes out by weft* and wv*`,
    };
  if (blockedBy !== undefined && !facts.firewalld.some(found => found.pods && found.chain === chain))
    return {
      id,
      severity: 'error',
      what: `The chain ${where} drops everything that it has not accepted before (${blockedBy}), pods' packets too; weft puts its rules only behind those of others, where they are never reached`,
      cure: blockedCure(fact, facts),
    };
  return ours
    ? {
        id,
        severity: 'info',
        what: `The chain ${where} drops what it does not know; weft's rules (comment weft) stand at its end, so pods talk`,
        cure: undefined,
      }
    : undefined;
}

const inputFinding = (chain: BaseChain, { listenPort }: HostFacts): Finding => ({
  id: `input ${chain.family} ${chain.table} ${chain.name}`,
  severity: 'info',
  what: `The chain ${named('nft', chain)} drops what arrives at this node unless it is allowed: peers must reach UDP port ${listenPort}, and pods what they use of the node`,
  cure: `unless it is allowed already: accept UDP port ${listenPort}, and what comes in by ${BRIDGE} and ${WG_LINK} (with ufw: ufw allow ${listenPort}/udp; ufw allow in on ${BRIDGE}; ufw allow in on ${WG_LINK})`,
});

/** What of firewalld its forward chain does not say. */
const firewalldFindings = ({ firewalld: found, listenPort }: HostFacts): readonly Finding[] =>
  found.flatMap(({ chain, pods, peers, pathFilter }): readonly Finding[] => {
    const { family, table } = chain;
    const path: Finding = {
      id: `prerouting ${family} ${table}`,
      severity: 'error',
      what: `firewalld drops all that pods send by IPv6: its filter of reverse paths (IPv6_rpfilter) wants a packet to come by the link that leads back, and the way to a pod is its own veth, not the bridge ${BRIDGE}. Nobody sends as somebody else all the same: weft looks at each pod's port`,
      cure: `${NO_PATH_FILTER}; firewall-cmd --reload`,
    };
    const port: Finding = {
      id: `input ${family} ${table}`,
      severity: 'info',
      what: `firewalld lets no peer begin with this node: UDP port ${listenPort} is not open in it, as far as its rules say`,
      cure: firewalld(openPort(listenPort)),
    };
    return [...(pathFilter ? [path] : []), ...(pods && !peers ? [port] : [])];
  });

/** Links that another pod network leaves behind, or works with. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(flannel\.\d+|flannel-v6\.\d+|flannel-wg(-v6)?)$/, 'flannel'],
  [/^cni\d+$/, 'flannel or another bridge plugin'],
  [/^(cilium_\w+|lxc_health)$/, 'cilium'],
  [/^(cali[0-9a-f]{4,}|vxlan(-v6)?\.calico|wireguard\.cali|wg-v6\.cali)$/, 'calico'],
  [/^(kube-bridge|kube-dummy-if)$/, 'kube-router'],
  [/^(weave|vethwe-\w+|datapath)$/, 'weave'],
  [/^(kilo\d+|kube-bridge)$/, 'kilo'],
  [/^(antrea-\w+)$/, 'antrea'],
];

function foreignFindings({ links }: HostFacts): readonly Finding[] {
  const owners = Map.groupBy(
    links.filter(link => FOREIGN.some(([pattern]) => pattern.test(link))),
    link => FOREIGN.find(([pattern]) => pattern.test(link))?.[1] ?? '',
  );
  return [...owners]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([owner, unsorted]) => [owner, unsorted.toSorted()] as const)
    .map(([owner, found]) => ({
      id: `foreign ${owner}`,
      severity: 'warning',
      what: `Links of another pod network are here, of ${owner}: ${found.join(', ')}. Its routes and rules may take pods' packets; weft deletes nothing of others`,
      cure: `switch it off, then drain and restart this node, which gives its pods new wires; where none of its pods is left here, this does it too: ${found.map(link => `ip link delete ${link}`).join('; ')}`,
    }));
}

/** Chains of others that go on to rewrite or drop pods' packets when their program is gone: only a restart takes them away. */
const FOREIGN_CHAINS: readonly (readonly [RegExp, string])[] = [
  [/^FLANNEL-/, 'flannel'],
  [/^(KUBE-ROUTER-|KUBE-POD-FW-|KUBE-NWPLCY-)/, 'kube-router (network policies of k3s and k0s)'],
  [/^cali-/, 'calico'],
  [/^CILIUM_/, 'cilium'],
  [/^WEAVE-/, 'weave'],
];

const foreignRules = ({ chains }: HostFacts): readonly Finding[] =>
  FOREIGN_CHAINS.flatMap(([pattern, owner]) => {
    const found = [...new Set(chains.filter(chain => pattern.test(chain)))].sort();
    if (found.length === 0) return [];
    const more = found.length > 3 ? ` and ${found.length - 3} more` : '';
    return [
      {
        id: `foreign rules ${owner.split(' ')[0]}`,
        severity: 'warning' as const,
        what: `Rules of ${owner} are here, in the chains ${found.slice(0, 3).join(', ')}${more}: they may rewrite or drop pods' packets; weft deletes nothing of others`,
        cure: 'where it is in use on purpose, nothing; else switch it off and restart this node',
      },
    ];
  });

const ipvs = ({ links }: HostFacts): readonly Finding[] =>
  links.includes('kube-ipvs0')
    ? [
        {
          id: 'kube-proxy ipvs',
          severity: 'warning',
          what: 'kube-proxy runs, or ran, in the mode ipvs: what it sends to pods does not pass the hook forward, so that network policy does not see it. weft is tested with the modes iptables and nftables',
          cure: 'set mode nftables (or iptables) in the configuration of kube-proxy and run on each node: kube-proxy --cleanup',
        },
      ]
    : [];

const port = ({ port: held }: HostFacts): readonly Finding[] =>
  held === undefined
    ? []
    : [
        {
          id: 'udp port',
          severity: 'error',
          what: `UDP port ${held.port}, where peers reach this node's WireGuard, is held by ${held.holder}`,
          cure: 'end it, or choose another port for weft on every node with the setting listenPort',
        },
      ];

const ORDER = { error: 0, warning: 1, info: 2 } as const;

/** Worst first, then by id. */
export const findings = (facts: HostFacts): readonly Finding[] =>
  [
    ...facts.forward.flatMap(fact => forwardFinding(fact, facts) ?? []),
    ...facts.input.map(chain => inputFinding(chain, facts)),
    ...firewalldFindings(facts),
    ...foreignFindings(facts),
    ...foreignRules(facts),
    ...ipvs(facts),
    ...port(facts),
  ].sort((a, b) => ORDER[a.severity] - ORDER[b.severity] || (a.id < b.id ? -1 : 1));
