/** ADD, from request to result; whatever fails on the way is undone. */
import { familyOf } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { podElements } from './antispoof.ts';
import { attach, detach, dropElements } from './attach.ts';
import type { Ends } from './compose.ts';
import { del, free } from './del.ts';
import { CniError, CODES } from './errors.ts';
import type { HeadStart } from './headstart.ts';
import { type Lease, leaseKey, ownerName } from './lease.ts';
import { ANY, linkName, randomMac } from './plumb.ts';
import { portClash, reservedPort } from './ports.ts';
import { addResult } from './result.ts';
import type { Session } from './session.ts';
import type { Request } from './spec.ts';
import type { Ready, VerbDeps } from './verbs.ts';

const newEnds = ({ containerId, ifname, mac }: Request, mtu: number): Ends => ({
  link: linkName(containerId, ifname),
  ifname,
  mtu,
  hostMac: randomMac(),
  podMac: mac ?? randomMac(),
});

function newLease(request: Request, ips: readonly Ip[], ends: Ends): Lease {
  const { network, containerId, pod, ports, limits } = request;
  const wishes = { ...(ports.length > 0 && { ports }), ...(limits && { limits }) };
  return { network, containerId, ...ends, ips, pod, ...wishes };
}

/** A lease whose host link is gone belongs to nobody: its pod's namespace is gone with it. */
async function dropDead(deps: VerbDeps, lease: Lease): Promise<boolean> {
  if ((await deps.kernel.links.get(lease.link)) !== undefined) return false;
  await free(deps, lease);
  return true;
}

/** What an earlier attachment of this name left behind; rejects where it lives. */
async function clearEarlier(deps: VerbDeps, request: Request, head: HeadStart | undefined): Promise<void> {
  if (deps.queue.find(request) !== undefined) {
    await head?.giveUp();
    await del(deps, request.containerId, request.ifname);
  }
  const old = deps.book.get(leaseKey(request));
  if (old === undefined || (await dropDead(deps, old))) return;
  throw new CniError(
    CODES.exists,
    `container ${request.containerId} already has ${request.ifname}, with ${old.ips.join(', ')}`,
    'ADD was called twice without DEL between them',
  );
}

/** Undoes an ADD that failed, as far as it got. A link that was there before stays. */
async function undo(deps: VerbDeps, lease: Lease, error: unknown): Promise<void> {
  try {
    await deps.ports.withdraw(lease);
    if (error instanceof CniError && error.code === CODES.exists)
      await dropElements(deps.kernel, podElements(lease, 'delete'));
    else await detach(deps.kernel, lease);
    await deps.limiter.remove(lease);
    deps.book.release(lease, deps.now());
  } catch (trouble) {
    deps.log.warn(
      { link: lease.link, error: String(trouble) },
      'an ADD that failed could not be undone; the next sweep will',
    );
  }
}

function refuseReserved(request: Request, { reservedPorts = [] }: Ready): void {
  const reserved = reservedPort(request.ports, reservedPorts);
  if (reserved === undefined) return;
  throw new CniError(
    CODES.portTaken,
    `hostPort ${reserved.port}/${reserved.protocol} of ${ownerName(request)} is the node's: ${reserved.holder}`,
    'give the pod another hostPort, or weft another port by its settings',
  );
}

function refuseTaken(deps: VerbDeps, request: Request): void {
  if (request.ports.length === 0) return;
  const clash = portClash(request.ports, deps.book.all());
  if (clash === undefined) return;
  const { hostPort, protocol } = clash.port;
  throw new CniError(
    CODES.portTaken,
    `hostPort ${hostPort}/${protocol} of ${ownerName(request)} is held by ${ownerName(clash.with)} on this node`,
    'two pods of one node cannot have the same hostPort; use a Service, or keep the pods apart with anti-affinity',
  );
}

/** A holder of these ports that went without DEL is no holder. */
async function dropDeadHolder(deps: VerbDeps, request: Request): Promise<void> {
  if (request.ports.length === 0) return;
  const holder = portClash(request.ports, deps.book.all())?.with;
  if (holder === undefined) return;
  await deps.keyed.run(leaseKey(holder), async () => {
    if (deps.book.get(leaseKey(holder)) === holder) await dropDead(deps, holder);
  });
}

/** Kept only while the kernel makes the links: a lease without its link and a link without its lease are found alike. */
function enterLease(deps: VerbDeps, request: Request, ends: Ends): Lease {
  refuseTaken(deps, request);
  const ips = deps.book.reserve(ownerName(request), request.requested, deps.now());
  const lease = newLease(request, ips, ends);
  deps.book.hold(lease);
  return lease;
}

/** Where none is free, those that are about to be are waited for. */
async function takeLease(deps: VerbDeps, request: Request, ends: Ends): Promise<Lease> {
  try {
    return enterLease(deps, request, ends);
  } catch (error) {
    if (deps.leaving.size === 0) throw error;
    await Promise.allSettled(deps.leaving);
    return enterLease(deps, request, ends);
  }
}

export function mustBeReady(ready: Ready | { readonly reason: string }): Ready {
  if ('reason' in ready)
    throw new CniError(CODES.tryLater, 'weft cannot wire pods on this node yet', ready.reason);
  return ready;
}

/** What stdout gets. */
const resultOf = (request: Request, lease: Lease, gateways: readonly Ip[], routes: readonly Cidr[]): string =>
  `${JSON.stringify(addResult(lease, gateways, request, routes))}\n`;

/** As far as no interface of others has them already. */
const defaultRoutes = ({ ips }: Lease): readonly Cidr[] => ips.map(ip => ANY[familyOf(ip)]);

/** The result, as stdout gets it. Rejects with CniError. */
export async function add(
  deps: VerbDeps,
  request: Request,
  session: Session,
  head: HeadStart | undefined,
): Promise<string> {
  const ready = mustBeReady(deps.ready());
  const { gateways, mtu } = ready;
  refuseReserved(request, ready);
  await clearEarlier(deps, request, head);
  const pod = await session.enter();
  await dropDeadHolder(deps, request);
  // A wish that the head start could not see.
  if (request.mac !== undefined) await head?.giveUp();
  const begun = request.mac === undefined ? head : undefined;
  const lease = await takeLease(deps, request, begun?.ends ?? newEnds(request, mtu));
  try {
    const promise = (): string | undefined =>
      lease.ports === undefined && lease.limits === undefined
        ? resultOf(request, lease, gateways, defaultRoutes(lease))
        : undefined;
    const routes = await attach(deps.kernel, {
      pod,
      lease,
      gateways,
      prepared: begun?.take(lease),
      guard: () => deps.beforeWire(lease),
      meanwhile: () => deps.book.keep(lease),
      promise,
      sent: () => head?.sent(),
    });
    const result = resultOf(request, lease, gateways, routes);
    if (session.answered()) return result;
    await deps.limiter.apply(lease);
    await deps.ports.publish(lease, gateways);
    await deps.beforeAnswer(lease);
    if (session.gone()) throw new CniError(CODES.io, 'the CNI binary ended before its call did');
    return result;
  } catch (error) {
    await undo(deps, lease, error);
    throw error;
  }
}
