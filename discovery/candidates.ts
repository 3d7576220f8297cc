/** Where this node may be reached: from its Node's addresses and its interfaces. Pure. */
import { BRIDGE, VETH_PREFIX, WG_LINK } from '../constants.ts';
import { compareIps, containsIp, familyOf, ipToNumber, parseIp, toEndpoint } from '../ip.ts';
import type { Address, Link } from '../platform/linux/types.ts';
import type { Cidr, Ip } from '../types.ts';
import { MAX_CANDIDATES } from './endpoints.ts';
import { isPublic, isReachable } from './scope.ts';
import type { Candidate, CandidateType, OwnAddresses } from './types.ts';

export type CandidateFacts = {
  readonly node: OwnAddresses;
  readonly links: readonly Link[];
  readonly addresses: readonly Address[];
  /** UDP port of WireGuard. */
  readonly port: number;
  /** Pod, service and cluster ranges. */
  readonly excluded: readonly Cidr[];
  /** Addresses that are reached by weft-wg. */
  readonly viaTunnel: ReadonlySet<Ip>;
};

/** Links whose addresses are of this host only: ours, and those of container engines and other CNIs. */
const INNER = new RegExp(
  `^(?:lo|${BRIDGE}|${WG_LINK}|${VETH_PREFIX}.*|docker.*|podman.*|lxc.*|lxdbr.*|virbr.*|cni.*|flannel.*|cilium.*|cali.*|vxlan.*|tunl\\d*|kube-.*|nodelocaldns|br-[0-9a-f]{12}|veth.*|dummy.*)$`,
);

export const isInner = (link: string): boolean => INNER.test(link);

/** Privacy extensions give a link many addresses of one prefix; two of them are enough. */
const PER_PREFIX = 2;

type Source = { readonly ip: Ip; readonly t: CandidateType };

const typeOf = (ip: Ip): CandidateType => (isPublic(ip) ? 'ext' : 'host');

/** The /64 of an IPv6 address; an IPv4 address stands for itself. */
const prefixOf = (ip: Ip): string => (familyOf(ip) === 4 ? ip : String(ipToNumber(ip) >> 64n));

function fromInterfaces({ links, addresses }: CandidateFacts): readonly Ip[] {
  const outer = new Set(links.filter(link => link.up && !isInner(link.name)).map(link => link.name));
  const seen = new Map<string, number>();
  return addresses
    .filter(address => outer.has(address.link) && address.fleeting === undefined)
    .flatMap(({ link, address }) => {
      const ip = parseIp(address.split('/')[0] as string);
      return ip.ok ? [{ link, ip: ip.value }] : [];
    })
    .sort((a, b) => compareIps(a.ip, b.ip))
    .filter(({ link, ip }) => {
      const key = `${link} ${prefixOf(ip)}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return (seen.get(key) as number) <= PER_PREFIX;
    })
    .map(({ ip }) => ip);
}

/** Best first within a type and family: what the Node says comes before what its links have. */
function sources(facts: CandidateFacts): readonly Source[] {
  const external = facts.node.external.map(ip => ({ ip, t: 'ext' as const }));
  const others = [...facts.node.internal, ...fromInterfaces(facts)].map(ip => ({ ip, t: typeOf(ip) }));
  const usable = [...external, ...others].filter(
    ({ ip }) =>
      isReachable(ip) && !facts.viaTunnel.has(ip) && !facts.excluded.some(cidr => containsIp(cidr, ip)),
  );
  const seen = new Set<Ip>();
  return usable.filter(({ ip }) => !seen.has(ip) && seen.add(ip));
}

/** Takes from each group in turn, so that no type or family crowds out the others. */
function shares(groups: readonly (readonly Source[])[]): ReadonlySet<Source> {
  const longest = Math.max(...groups.map(group => group.length));
  const turns = Array.from({ length: longest }, (_, n) =>
    groups.flatMap(group => group.slice(n, n + 1)),
  ).flat();
  return new Set(turns.slice(0, MAX_CANDIDATES));
}

/**
 * At most ten, best first: addresses towards the world, then private ones, IPv4 before IPv6.
 * The order of links and addresses that come in does not matter.
 */
export function findCandidates(facts: CandidateFacts): readonly Candidate[] {
  const all = sources(facts);
  const group = (t: CandidateType, family: 4 | 6) => all.filter(s => s.t === t && familyOf(s.ip) === family);
  const groups = [group('ext', 4), group('ext', 6), group('host', 4), group('host', 6)];
  const taken = shares(groups);
  return groups.flatMap(sources =>
    sources.filter(source => taken.has(source)).map(({ ip, t }) => ({ t, a: toEndpoint(ip, facts.port) })),
  );
}
