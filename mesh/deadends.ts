/** Endpoints that this node cannot send to, as after it has lost one of the two families. */
import { parseEndpoint } from '../ip.ts';
import type { Kernel, WgDevice } from '../platform/linux/types.ts';
import type { Endpoint } from '../types.ts';
import type { MeshPlan } from './types.ts';

/** From a link-local address nothing comes back from beyond the link. */
const isLinkLocal = (ip: string | undefined): boolean => ip?.startsWith('fe80:') ?? false;

async function isDead(kernel: Kernel, endpoint: Endpoint): Promise<boolean> {
  const parsed = parseEndpoint(endpoint);
  if (!parsed.ok) return false;
  const way = await kernel.routes.lookup(parsed.value.ip);
  return way === undefined || (isLinkLocal(way.src) && !isLinkLocal(parsed.value.ip));
}

async function among(kernel: Kernel, endpoints: Iterable<Endpoint>): Promise<ReadonlySet<Endpoint>> {
  const dead = new Set<Endpoint>();
  for (const endpoint of new Set(endpoints)) if (await isDead(kernel, endpoint)) dead.add(endpoint);
  return dead;
}

/** Of the endpoints in use, and of the candidates of the peers whose endpoint is among those. */
export async function deadEnds(
  kernel: Kernel,
  plan: MeshPlan,
  device: WgDevice,
): Promise<ReadonlySet<Endpoint>> {
  const inUse = new Map(device.peers.flatMap(p => (p.endpoint ? [[p.publicKey, p.endpoint] as const] : [])));
  const dead = await among(kernel, inUse.values());
  if (dead.size === 0) return dead;
  const stranded = plan.peers.filter(peer => dead.has(inUse.get(peer.publicKey) ?? ('' as Endpoint)));
  return new Set([
    ...dead,
    ...(await among(
      kernel,
      stranded.flatMap(peer => peer.endpoints),
    )),
  ]);
}
