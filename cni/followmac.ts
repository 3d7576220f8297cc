/**
 * A plugin behind weft may have given the pod another MAC. The pod's own word counts for nothing; the
 * runtime's record of the whole chain, which CHECK brings, does. Until then the pod is cut off.
 */
import { NFT_TABLE } from '../constants.ts';
import { linksOn } from '../platform/linux/link.ts';
import type { Ip } from '../types.ts';
import { podElements } from './antispoof.ts';
import { dropElements, restoreHostSide } from './attach.ts';
import type { Lease } from './lease.ts';
import type { PodSide } from './session.ts';
import type { PrevResult } from './spec.ts';
import type { VerbDeps } from './verbs.ts';
import { macFault } from './wishes.ts';

/** What the runtime's record says of the pod's interface. */
function recordedMac({ raw }: PrevResult, ifname: string): string | undefined {
  const list: readonly unknown[] = Array.isArray(raw.interfaces) ? raw.interfaces : [];
  for (const item of list) {
    const { name, sandbox, mac } = (item ?? {}) as Readonly<Record<string, unknown>>;
    if (name === ifname && sandbox && typeof mac === 'string') return mac.toLowerCase();
  }
  return undefined;
}

async function give(deps: VerbDeps, lease: Lease, podMac: string, gateways: readonly Ip[]): Promise<Lease> {
  const next = { ...lease, podMac };
  deps.book.keep(next);
  await deps.kernel.nft.elements('bridge', NFT_TABLE, podElements(next, 'add'));
  await restoreHostSide(deps.kernel, next, gateways);
  await dropElements(deps.kernel, podElements(lease, 'delete'));
  deps.log.info(
    { link: lease.link, before: lease.podMac, mac: podMac },
    'a later plugin changed the MAC of a pod',
  );
  return next;
}

/** The lease, with the MAC that pod and record agree on. */
export async function followMac(
  deps: VerbDeps,
  pod: PodSide,
  lease: Lease,
  record: PrevResult,
  gateways: readonly Ip[],
): Promise<Lease> {
  const recorded = recordedMac(record, lease.ifname);
  if (recorded === undefined || recorded === lease.podMac || macFault(recorded)) return lease;
  const link = await linksOn(pod.rt).get(lease.ifname);
  return link?.mac === recorded ? give(deps, lease, recorded, gateways) : lease;
}
