/** Living pods whose wire on the node was damaged are mended; leases of dead pods are freed. */
import { NFT_TABLE } from '../constants.ts';
import { ensureTable, type TableMemos } from '../platform/linux/table.ts';
import { antiSpoofTable, podElements } from './antispoof.ts';
import { hostFaults, restoreHostSide, viewHost } from './attach.ts';
import { leaseKey } from './lease.ts';
import { del, type VerbDeps } from './verbs.ts';

/** Writes the table of the bridge family where it differs, and then every pod into it. */
export async function ensureAntiSpoofing(
  deps: VerbDeps,
  enabled: boolean,
  memos: TableMemos,
): Promise<number> {
  const { kernel, book } = deps;
  const changed = await ensureTable(kernel.nft, 'bridge', NFT_TABLE, antiSpoofTable(enabled), memos, true);
  if (!changed) return 0;
  await kernel.nft.elements(
    'bridge',
    NFT_TABLE,
    book.all().flatMap(lease => podElements(lease, 'add')),
  );
  return 1;
}

/** One look at all pods; the number of those that needed something. Attachments that a verb works on are left to it. */
export async function sweepPods(deps: VerbDeps): Promise<number> {
  const ready = deps.ready();
  if ('reason' in ready || deps.book.all().length === 0) return 0;
  const view = await viewHost(deps.kernel);
  let mended = 0;
  for (const lease of deps.book.all()) {
    const key = leaseKey(lease);
    const faults = hostFaults(view, lease, ready.gateways);
    if (faults.length === 0 || deps.keyed.busy(key)) continue;
    mended += 1;
    await deps.keyed
      .run(key, async () => {
        if ((await deps.kernel.links.get(lease.link)) === undefined) {
          deps.log.info(
            { link: lease.link, ips: lease.ips },
            'a pod is gone without DEL; its addresses are free',
          );
          await del(deps, lease.containerId, lease.ifname);
        } else {
          deps.log.warn({ link: lease.link, faults }, 'the wire of a pod was damaged and is mended');
          await restoreHostSide(deps.kernel, lease, ready.gateways);
        }
      })
      .catch(error =>
        deps.log.error({ link: lease.link, error: String(error) }, 'the wire of a pod could not be mended'),
      );
  }
  return mended;
}
