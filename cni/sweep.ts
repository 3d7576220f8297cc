/** Living pods whose wire on the node was damaged are mended; leases of dead pods are freed. */
import { NFT_TABLE } from '../constants.ts';
import { ensureTable, type TableMemos } from '../platform/linux/table.ts';
import type { ElementChange, Nft } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import { antiSpoofTable, podElementsText } from './antispoof.ts';
import { dropElements, restoreHostSide } from './attach.ts';
import { del } from './del.ts';
import { missingElements, strayElements, withoutElements } from './elements.ts';
import { type HostView, hostFaults, orphanAddresses, viewHost } from './inspect.ts';
import { type Lease, leaseKey } from './lease.ts';
import { linkName } from './plumb.ts';
import type { VerbDeps } from './verbs.ts';

type Stray = { readonly dead: readonly ElementChange[]; readonly living: number };

/** Those of links that are gone are dead: a pod whose lease was lost lives on, and needs its own. */
async function strays(deps: VerbDeps, listing: string): Promise<Stray> {
  const stray = strayElements(listing, deps.book.all());
  if (stray.length === 0) return { dead: [], living: 0 };
  const links = new Set((await deps.kernel.links.list()).map(link => link.name));
  const dead = stray.filter(element => !links.has(element.link));
  return { dead, living: stray.length - dead.length };
}

/** The sets are read too: an element of a pod that is gone would let another take its name. */
async function mendElements(deps: VerbDeps, listing: string): Promise<Spoofing> {
  const { kernel, book, keyed } = deps;
  deps.strangers.note(listing, book.all());
  const quiet = book.all().filter(lease => !keyed.busy(leaseKey(lease)));
  const missing = missingElements(listing, quiet);
  const { dead, living } = await strays(deps, listing);
  await kernel.nft.elements('bridge', NFT_TABLE, missing);
  await dropElements(kernel, dead);
  if (dead.length > 0)
    deps.log.info({ elements: dead.length }, 'set elements of pods that are gone are removed');
  return { changes: missing.length + dead.length, settled: living === 0 };
}

/** `settled`: no set has an element of a living link that no lease speaks of; it must go when its link does. */
export type Spoofing = { readonly changes: number; readonly settled: boolean };

/** Writes the table of the bridge family where it differs, with every pod in it, and mends its sets. */
export async function ensureAntiSpoofing(
  deps: VerbDeps,
  enabled: boolean,
  memos: TableMemos,
): Promise<Spoofing> {
  const { kernel, book } = deps;
  let listing = '';
  const nft: Nft = {
    ...kernel.nft,
    // Living pods must not be dropped for the moment between the table and its elements.
    apply: text => kernel.nft.apply(text + book.all().map(podElementsText).join('')),
    list: async (family, table) => {
      const listed = await kernel.nft.list(family, table);
      listing = listed ?? '';
      return listed && withoutElements(listed);
    },
  };
  const changed = await ensureTable(nft, 'bridge', NFT_TABLE, antiSpoofTable(enabled), memos, true);
  const mended = await mendElements(deps, listing);
  return { ...mended, changes: Number(changed) + mended.changes };
}

/** Frees or mends one pod. Attachments that a verb works on are left to it. */
async function mendPod(
  deps: VerbDeps,
  view: HostView,
  lease: Lease,
  gateways: readonly Ip[],
): Promise<number> {
  const key = leaseKey(lease);
  const faults = hostFaults(view, lease, gateways);
  if (faults.length === 0 || deps.keyed.busy(key)) return 0;
  return deps.keyed.run(key, async () => {
    // It went since, or another has come by its name: what was seen is not theirs.
    if (deps.book.get(key) !== lease) return 0;
    if ((await deps.kernel.links.get(lease.link)) === undefined) {
      deps.log.info(
        { link: lease.link, ips: lease.ips },
        'a pod is gone without DEL; its addresses are free',
      );
      await del(deps, lease.containerId, lease.ifname);
    } else {
      deps.log.warn({ link: lease.link, faults }, 'the wire of a pod was damaged and is mended');
      await restoreHostSide(deps.kernel, lease, gateways);
      deps.mended('pods', 1);
    }
    return 1;
  });
}

/** A pod whose lease was damaged or removed lives on, and nobody else may get its address. */
function holdOrphans(deps: VerbDeps, view: HostView, leases: readonly Lease[]): void {
  const orphans = orphanAddresses(view, leases);
  if (deps.book.setOrphans(orphans, deps.now()))
    deps.log.warn(
      { links: [...new Set(orphans.values())], ips: [...orphans.keys()] },
      'pods without a lease keep their addresses until they end: who removed files in /run/weft?',
    );
}

/** A file's name is its lease's key; it has no use any more when the pod's link is gone. */
function discardDamaged(deps: VerbDeps, view: HostView): void {
  for (const file of deps.book.damaged()) {
    const [containerId = '', ifname = ''] = file.split(':');
    if (!view.links.has(linkName(containerId, ifname))) deps.book.discard(file);
  }
}

/** One look at all pods; the number of those that needed something. */
export async function sweepPods(deps: VerbDeps, gateways: readonly Ip[]): Promise<number> {
  // The list comes before the look: a pod that is made between them, or is being made, would look damaged.
  const leases = deps.book.all();
  const whole = leases.filter(lease => !deps.keyed.busy(leaseKey(lease)));
  const view = await viewHost(deps.kernel);
  // Those that went during the look still led somewhere, and those that came then are in no list of before.
  holdOrphans(deps, view, [...leases, ...deps.book.all()]);
  discardDamaged(deps, view);
  let mended = 0;
  for (const lease of whole)
    try {
      mended += await mendPod(deps, view, lease, gateways);
    } catch (error) {
      deps.log.error({ link: lease.link, error: String(error) }, 'the wire of a pod could not be mended');
    }
  return mended;
}
