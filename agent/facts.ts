/** From what the rooms know to what the plan is made from, and to what this node says of itself. */
import type { Config } from '../config.ts';
import { WG_LINK, WG_OVERHEAD } from '../constants.ts';
import { findCandidates } from '../discovery/candidates.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { Candidate } from '../discovery/types.ts';
import { aggregate, hostOf } from '../ip.ts';
import { networksOf } from '../mesh/networks.ts';
import type { MeshFacts, MeshSettings, PathLimit } from '../mesh/types.ts';
import type { Address, Kernel, Link, Route } from '../platform/linux/types.ts';
import type { Cidr, Ip, PublicKey } from '../types.ts';

/** IPv6 needs 1280, whatever the underlay says. */
const MIN_MTU = 1280;
const ETHERNET_MTU = 1500;

/** The smallest MTU among the links that carry default routes, minus what WireGuard takes. */
export function tunnelMtu(config: Config, links: readonly Link[], defaults: readonly Route[]): number {
  if (config.mtu !== undefined) return config.mtu;
  const outward = new Set(defaults.map(route => route.link));
  const mtus = links.filter(link => outward.has(link.name) && link.name !== WG_LINK).map(link => link.mtu);
  return Math.max(Math.min(...(mtus.length > 0 ? mtus : [ETHERNET_MTU])) - WG_OVERHEAD, MIN_MTU);
}

export const settingsOf = (config: Config, mtu: number): MeshSettings => ({
  clusterCidrs: config.clusterCidrs,
  listenPort: config.listenPort,
  keepalive: config.keepalive,
  mtu,
  masquerade: config.masquerade,
  unmasked: config.unmasked,
  directLinks: config.directLinks,
});

export const factsOf = (
  name: string,
  publicKey: PublicKey,
  discovery: Discovery,
  settings: MeshSettings,
  limits: ReadonlyMap<PublicKey, PathLimit>,
): MeshFacts => ({
  self: { name, publicKey },
  nodes: discovery.facts(),
  resolved: discovery.resolved(),
  settings,
  limits,
});

const clusterRanges = (config: Config, discovery: Discovery): readonly Cidr[] =>
  aggregate([...config.clusterCidrs, ...networksOf(discovery.facts())]);

/** Candidates whose own packets would leave by the tunnel are reached by it too, and would nest it into itself. */
async function throughTunnel(kernel: Kernel, ips: readonly Ip[]): Promise<ReadonlySet<Ip>> {
  const inside = await Promise.all(
    ips.map(async ip => ((await kernel.routes.lookup(ip))?.link === WG_LINK ? [ip] : [])),
  );
  return new Set(inside.flat());
}

/** Where others may reach this node. */
export async function ownCandidates(
  config: Config,
  kernel: Kernel,
  discovery: Discovery,
  links: readonly Link[],
  addresses: readonly Address[],
): Promise<readonly Candidate[]> {
  const node = discovery.own()?.addresses ?? { internal: [], external: [] };
  const facts = {
    node,
    links,
    addresses,
    port: config.listenPort,
    excluded: clusterRanges(config, discovery),
  };
  const found = findCandidates({ ...facts, viaTunnel: new Set() });
  const ips = found.map(candidate => hostOf(candidate.a)).filter(ip => ip !== undefined);
  const viaTunnel = await throughTunnel(kernel, ips);
  return viaTunnel.size === 0 ? found : findCandidates({ ...facts, viaTunnel });
}
