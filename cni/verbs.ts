/** The verbs, each as one story from request to answer. Effects go through `attach` and the book. */
import { existsSync } from 'node:fs';
import type { Log } from '../agent/log.ts';
import { NFT_TABLE } from '../constants.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import type { Ip } from '../types.ts';
import { attach, detach, hostFaults, linkName, podFaults, randomMac, viewHost } from './attach.ts';
import type { Book } from './book.ts';
import { missingElements } from './elements.ts';
import { CniError, CODES } from './errors.ts';
import type { Keyed } from './keyed.ts';
import { type Lease, leaseKey, ownerName } from './lease.ts';
import { addResult } from './result.ts';
import type { Session } from './session.ts';
import type { Request } from './spec.ts';

export type Ready = { readonly gateways: readonly Ip[]; readonly mtu: number };

export type VerbDeps = {
  readonly kernel: LinuxKernel;
  readonly book: Book;
  readonly keyed: Keyed;
  readonly log: Log;
  readonly now: () => number;
  /** What ADD needs of the node, or why it has to wait. */
  readonly ready: () => Ready | { readonly reason: string };
  readonly readyMarker: string;
  /** Awaited before ADD answers: the pod's policy must be in force by then. */
  readonly beforeAnswer: (lease: Lease) => Promise<void>;
  readonly released: (ips: readonly Ip[]) => void;
};

const keyOf = (request: Request): string => leaseKey(request);

/** A lease whose host link is gone belongs to nobody: its pod's namespace is gone with it. */
async function dropDead(deps: VerbDeps, lease: Lease): Promise<boolean> {
  if ((await deps.kernel.links.get(lease.link)) !== undefined) return false;
  await free(deps, lease);
  return true;
}

function newLease(request: Request, ips: readonly Ip[], mtu: number): Lease {
  const { network, containerId, ifname, pod } = request;
  const link = linkName(containerId, ifname);
  return { network, containerId, ifname, link, hostMac: randomMac(), podMac: randomMac(), ips, mtu, pod };
}

/** Undoes an ADD that failed, as far as it got. A link that was there before stays. */
async function undo(deps: VerbDeps, lease: Lease, error: unknown): Promise<void> {
  try {
    if (!(error instanceof CniError && error.code === CODES.exists)) await detach(deps.kernel, lease);
    deps.book.release(lease, deps.now());
  } catch (trouble) {
    deps.log.warn(
      { link: lease.link, error: String(trouble) },
      'an ADD that failed could not be undone; the next sweep will',
    );
  }
}

async function add(deps: VerbDeps, request: Request, session: Session): Promise<string> {
  const ready = deps.ready();
  if ('reason' in ready)
    throw new CniError(CODES.tryLater, 'weft cannot wire pods on this node yet', ready.reason);
  const old = deps.book.get(keyOf(request));
  if (old !== undefined && !(await dropDead(deps, old)))
    throw new CniError(
      CODES.exists,
      `container ${request.containerId} already has ${request.ifname}, with ${old.ips.join(', ')}`,
      'ADD was called twice without DEL between them',
    );
  const pod = await session.enter();
  const ips = deps.book.reserve(ownerName(request), request.requested, deps.now());
  const lease = newLease(request, ips, ready.mtu);
  try {
    deps.book.enter(lease);
  } catch (error) {
    deps.book.unreserve(ips, deps.now());
    throw error;
  }
  try {
    await attach(deps.kernel, pod, lease, ready.gateways);
    await deps.beforeAnswer(lease);
  } catch (error) {
    await undo(deps, lease, error);
    throw error;
  }
  return JSON.stringify(addResult(lease, ready.gateways, request.netns, request.version, request.prevResult));
}

/** Frees a lease: wire first, so that no address is given away that still answers. */
async function free(deps: VerbDeps, lease: Lease): Promise<void> {
  await detach(deps.kernel, lease);
  deps.released(deps.book.release(lease, deps.now()));
}

/** Without a lease there may still be a link, of an ADD whose lease was lost. */
export async function del(deps: VerbDeps, containerId: string, ifname: string): Promise<string> {
  const lease = deps.book.get(leaseKey({ containerId, ifname }));
  if (lease !== undefined) await free(deps, lease);
  else {
    const link = linkName(containerId, ifname);
    if ((await deps.kernel.links.get(link)) !== undefined) await deps.kernel.links.remove(link);
  }
  return '';
}

const broken = (faults: readonly string[]): CniError =>
  new CniError(CODES.broken, `the pod's network is not as ADD left it: ${faults[0]}`, faults.join('; '));

async function check(deps: VerbDeps, request: Request, session: Session): Promise<string> {
  if (request.prevResult === undefined)
    throw new CniError(
      CODES.badConfig,
      'CHECK needs prevResult',
      'the result of the ADD must be in the configuration',
    );
  const lease = deps.book.get(keyOf(request));
  if (lease === undefined)
    throw new CniError(
      CODES.unknownContainer,
      `container ${request.containerId} has no ${request.ifname} here`,
    );
  const missing = lease.ips.filter(ip => !request.prevResult?.ips.includes(ip));
  if (missing.length > 0) throw broken([`${missing.join(', ')} is held for the pod, but not in prevResult`]);
  const ready = deps.ready();
  const gateways = 'reason' in ready ? [] : ready.gateways;
  const pod = await session.enter();
  const [view, listing, inside] = await Promise.all([
    viewHost(deps.kernel),
    deps.kernel.nft.list('bridge', NFT_TABLE),
    podFaults(pod, lease, request.prevResult.routes),
  ]);
  const unguarded = missingElements(listing ?? '', [lease]).map(
    ({ set }) => `its entry in set ${set} of table bridge ${NFT_TABLE} is missing`,
  );
  const faults = [...hostFaults(view, lease, gateways), ...inside, ...unguarded];
  if (faults.length > 0) throw broken(faults);
  return '';
}

/** Of this network only, and only what was there when the runtime made its list. */
async function gc(deps: VerbDeps, request: Request): Promise<string> {
  if (request.valid === undefined) return '';
  const valid = new Set(request.valid.map(leaseKey));
  const stale = deps.book
    .all()
    .filter(
      lease =>
        lease.network === request.network && !valid.has(leaseKey(lease)) && !deps.keyed.busy(leaseKey(lease)),
    );
  const failed: string[] = [];
  for (const lease of stale)
    await deps.keyed
      .run(leaseKey(lease), async () => {
        if (deps.book.get(leaseKey(lease)) === lease) await free(deps, lease);
      })
      .catch(error =>
        failed.push(`${leaseKey(lease)}: ${error instanceof Error ? error.message : String(error)}`),
      );
  if (failed.length > 0)
    throw new CniError(
      CODES.io,
      `${failed.length} of ${stale.length} stale attachments could not be removed`,
      failed.join('; '),
    );
  return '';
}

/** 50 only until the first readiness since boot: any error makes the kubelet take the node's pods out of their Services. */
function status(deps: VerbDeps): string {
  if (existsSync(deps.readyMarker)) return '';
  const ready = deps.ready();
  throw new CniError(
    CODES.unavailable,
    'weft has not been ready on this node since it booted',
    'reason' in ready ? ready.reason : 'it is being installed',
  );
}

/** Dispatch; verbs on one attachment take turns. */
export async function runVerb(deps: VerbDeps, request: Request, session: Session): Promise<string> {
  switch (request.command) {
    case 'ADD':
      return deps.keyed.run(keyOf(request), () => add(deps, request, session));
    case 'DEL':
      return deps.keyed.run(keyOf(request), () => del(deps, request.containerId, request.ifname));
    case 'CHECK':
      return deps.keyed.run(keyOf(request), () => check(deps, request, session));
    case 'GC':
      return gc(deps, request);
    case 'STATUS':
      return status(deps);
    case 'VERSION':
      return JSON.stringify({
        cniVersion: '1.1.0',
        supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
      });
  }
}
