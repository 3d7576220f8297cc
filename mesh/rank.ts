/** In which order a peer's endpoints are tried. Pure. */
import type { CandidateType, NodeFact } from '../discovery/types.ts';
import { containsIp, hostOf, toEndpoint } from '../ip.ts';
import type { Cidr, Endpoint, Ip } from '../types.ts';

/** On one site private addresses are the short way; between sites they may be somebody else's. */
const NEAR: readonly CandidateType[] = ['host', 'ext', 'portmap', 'srflx'];
const FAR: readonly CandidateType[] = ['ext', 'portmap', 'srflx', 'host'];

const seenFromOutside = (node: NodeFact): readonly (Ip | undefined)[] =>
  node.endpoints.filter(c => c.t !== 'host').map(c => hostOf(c.a));

/** One location, or, where none is said, no location or one address towards the world. */
function near(node: NodeFact, self: NodeFact | undefined): boolean {
  if (self === undefined) return false;
  if (node.location !== undefined || self.location !== undefined) return node.location === self.location;
  const own = new Set(seenFromOutside(self));
  const theirs = seenFromOutside(node);
  return theirs.length === 0 || theirs.some(ip => ip !== undefined && own.has(ip));
}

/** Another site's node may have the same private address; there we would only call ourselves. */
const ownHosts = (self: NodeFact | undefined): ReadonlySet<Ip | undefined> =>
  new Set(self?.endpoints.filter(c => c.t === 'host').map(c => hostOf(c.a)));

const unique = <T>(items: readonly T[]): T[] => [...new Set(items)];

/**
 * Endpoints of `node`, best first. A force-endpoint is the only one where it resolves. An
 * address inside the pod networks would send the tunnel into itself and is left out.
 */
export function rankEndpoints(
  node: NodeFact,
  self: NodeFact | undefined,
  resolved: ReadonlyMap<string, readonly Ip[]>,
  cluster: readonly Cidr[],
): readonly Endpoint[] {
  const force = node.forceEndpoint;
  if (force !== undefined) {
    const addresses = resolved.get(force.host) ?? [];
    return unique(addresses.map(ip => toEndpoint(ip, force.port)));
  }
  const order = near(node, self) ? NEAR : FAR;
  const own = ownHosts(self);
  const usable = node.endpoints.filter(({ t, a }) => {
    const ip = hostOf(a);
    if (ip === undefined || (t === 'host' && own.has(ip))) return false;
    return !cluster.some(cidr => containsIp(cidr, ip));
  });
  return unique(order.flatMap(type => usable.filter(c => c.t === type).map(c => c.a)));
}
