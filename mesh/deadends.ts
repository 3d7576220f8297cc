/** Endpoints that this node cannot send to, as after it has lost one of the two families. */
import { hostOf } from '../ip.ts';
import type { Kernel, WgDevice } from '../platform/linux/types.ts';
import type { Endpoint } from '../types.ts';
import type { MeshPlan } from './types.ts';

/** From a link-local address nothing comes back from beyond the link. */
const isLinkLocal = (ip: string | undefined): boolean => ip?.startsWith('fe80:') ?? false;

/** A look that fails says nothing of the endpoint. */
async function isDead(kernel: Kernel, endpoint: Endpoint): Promise<boolean> {
  const ip = hostOf(endpoint);
  if (ip === undefined) return false;
  try {
    const way = await kernel.routes.lookup(ip);
    return way === undefined || (isLinkLocal(way.src) && !isLinkLocal(ip));
  } catch {
    return false;
  }
}

/** Of the endpoints in use, and of the candidates of the peers whose endpoint is among those. */
export async function deadEnds(
  kernel: Kernel,
  plan: MeshPlan,
  device: WgDevice,
): Promise<ReadonlySet<Endpoint>> {
  const dead = new Map<Endpoint, boolean>();
  const ask = async (endpoints: readonly Endpoint[]): Promise<void> => {
    for (const endpoint of endpoints)
      if (!dead.has(endpoint)) dead.set(endpoint, await isDead(kernel, endpoint));
  };
  const inUse = device.peers.flatMap(({ publicKey, endpoint }) =>
    endpoint ? [{ publicKey, endpoint }] : [],
  );
  await ask(inUse.map(peer => peer.endpoint));
  const stranded = new Set(inUse.filter(peer => dead.get(peer.endpoint)).map(peer => peer.publicKey));
  await ask(plan.peers.filter(peer => stranded.has(peer.publicKey)).flatMap(peer => peer.endpoints));
  return new Set([...dead].flatMap(([endpoint, is]) => (is ? [endpoint] : [])));
}
