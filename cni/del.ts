/** DEL, and everything else that frees an attachment. */
import { isNotFound } from '../platform/linux/errors.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { linksOn } from '../platform/linux/link.ts';
import { encodeRemoveLink } from '../platform/linux/parting.ts';
import { podElements } from './antispoof.ts';
import { detach, dropElements } from './attach.ts';
import type { QueuedDel } from './delqueue.ts';
import { type Lease, leaseKey } from './lease.ts';
import { linkName } from './plumb.ts';
import type { Session } from './session.ts';
import type { Request } from './spec.ts';
import type { VerbDeps } from './verbs.ts';

/** Frees a lease: wire first, so that no address is given away that still answers. */
export async function free(deps: VerbDeps, lease: Lease): Promise<void> {
  await deps.ports.withdraw(lease);
  await detach(deps.kernel, lease);
  await deps.limiter.remove(lease);
  deps.released(deps.book.release(lease, deps.now()));
}

const removeLink = async (kernel: LinuxKernel, link: string): Promise<void> =>
  kernel.links.remove(link).catch(error => {
    if (!isNotFound(error)) throw error;
  });

/**
 * The same for a link that the binary should have removed. A look that does not wait for the kernel's
 * lock on links, which others' removals hold for tens of milliseconds at a time.
 */
async function mustBeGone(kernel: LinuxKernel, link: string): Promise<void> {
  const there = await kernel.sysctls.read(`ipv4/conf/${link}/forwarding`).catch(() => 'unknown');
  if (there !== undefined) await removeLink(kernel, link);
}

/** Without a lease there may still be a link, of an ADD whose lease was lost. */
export async function del(deps: VerbDeps, containerId: string, ifname: string): Promise<void> {
  const lease = deps.book.get(leaseKey({ containerId, ifname }));
  if (lease !== undefined) await free(deps, lease);
  else await removeLink(deps.kernel, linkName(containerId, ifname));
  deps.book.discard(leaseKey({ containerId, ifname }));
  deps.queue.find({ containerId, ifname })?.done();
}

/** Index of the pod's own end; undefined where the namespace is gone or the link there is not ours. */
async function podEnd(request: Request, session: Session, lease: Lease): Promise<number | undefined> {
  if (request.netns === '') return undefined;
  try {
    const link = await linksOn((await session.enter()).rt).get(lease.ifname);
    return link?.mac === lease.podMac ? link.index : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined where the tmpfs is full: then nothing can be left for later. */
function writtenDown(deps: VerbDeps, request: Request): QueuedDel | undefined {
  try {
    return deps.queue.put(request);
  } catch {
    return undefined;
  }
}

/**
 * As the runtime asks for it. The removal of a link takes the kernel tens of milliseconds, so the
 * binary has it done after the answer; until then the address is not free, and a note in the queue
 * sees to it that the promise is kept over a crash. Resolves to what is left to do, if anything.
 */
export async function delOnRequest(
  deps: VerbDeps,
  request: Request,
  session: Session,
): Promise<(() => Promise<void>) | undefined> {
  const lease = deps.book.get(leaseKey(request));
  const index = lease && (await podEnd(request, session, lease));
  if (lease === undefined || index === undefined) {
    await del(deps, request.containerId, request.ifname);
    return undefined;
  }
  const promise = writtenDown(deps, request);
  if (promise === undefined) {
    await del(deps, request.containerId, request.ifname);
    return undefined;
  }
  await deps.ports.withdraw(lease);
  await dropElements(deps.kernel, podElements(lease, 'delete'));
  session.afterwards(encodeRemoveLink(index));
  return async () => {
    await session.closed;
    await mustBeGone(deps.kernel, lease.link);
    await deps.limiter.remove(lease);
    deps.released(deps.book.release(lease, deps.now()));
    promise.done();
  };
}
