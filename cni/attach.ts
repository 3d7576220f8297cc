/** One pod's wire in the kernel: made, taken away, mended. It is made by one program that the binary works off. */
import { BRIDGE, NFT_TABLE } from '../constants.ts';
import { isNotFound, LinuxError } from '../platform/linux/errors.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import { changeLink } from '../platform/linux/link.ts';
import { untilRunning } from '../platform/linux/running.ts';
import type { ElementChange } from '../platform/linux/types.ts';
import type { Cidr, Ip } from '../types.ts';
import { podElements } from './antispoof.ts';
import {
  acceptRa,
  answersOf,
  composeLinks,
  composeWiring,
  type Links,
  leadToPod,
  type Wiring,
} from './compose.ts';
import { CniError, CODES } from './errors.ts';
import type { Lease } from './lease.ts';
import type { PodSide } from './session.ts';
import { encodeProgram } from './wire.ts';

const exists = (lease: Lease): CniError =>
  new CniError(
    CODES.exists,
    `interface ${lease.ifname} is already in the pod, or its host end ${lease.link} on the node`,
    'ADD was called twice without DEL between them',
  );

const vanished = (name: string): CniError =>
  new CniError(CODES.io, `link ${name} vanished while it was being wired`);

/** A port takes no part in IPv6 of its own. */
async function refuseAdverts({ sysctls }: LinuxKernel, link: string): Promise<void> {
  const key = acceptRa(link);
  const value = await sysctls.read(key);
  if (value !== undefined && value !== '0') await sysctls.write(key, '0');
}

const bridgeIndex = async (kernel: LinuxKernel): Promise<number> => {
  const bridge = await kernel.links.get(BRIDGE);
  if (bridge === undefined)
    throw new CniError(
      CODES.tryLater,
      `the bridge ${BRIDGE} is not there yet`,
      'the agent is making it; try again',
    );
  return bridge.index;
};

/** Nothing is under way any more when this rejects, so that it can be undone. */
async function together<const T extends readonly Promise<unknown>[]>(
  ...work: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** Indexes of bridges that pods were plugged into: asking for it each time is a turn of its own. */
const bridges = new WeakMap<LinuxKernel, number>();

export const knownBridge = (kernel: LinuxKernel): number | undefined => bridges.get(kernel);

/** Has the binary begin with links, before anything else of the call is known. */
export function beginLinks(pod: PodSide, links: Links, frame = encodeProgram(links.to.take(), 'b')): void {
  pod.begin(frame);
}

/** Of a call that came to nothing. */
export async function giveUp(kernel: LinuxKernel, pod: PodSide, links: Links, name: string): Promise<void> {
  await pod.run([links.to], encodeProgram([])).catch(() => {});
  const link = await kernel.links.get(name);
  if (link?.index === links.outside) await kernel.links.remove(name);
}

/** Links that were begun before, and what was composed for them. */
export type Prepared = {
  readonly links: Links;
  readonly wiring?: Wiring;
};

export type Wish = {
  readonly pod: PodSide;
  readonly lease: Lease;
  readonly gateways: readonly Ip[];
  readonly prepared: Prepared | undefined;
  /** Until it is done the links are down: nothing of the pod's gets anywhere. Where it rejects, the wire is not made. */
  readonly guard: () => Promise<boolean>;
  /** Done while the binary is at work, again with each try. Where it throws, the wire is not made. */
  readonly meanwhile: () => void;
  /** The call's result, if nothing else is left to do for it once it is guarded. */
  readonly promise: () => string | undefined;
  /** Called when the binary has all that it needs. */
  readonly sent: () => void;
};

function freshLinks(kernel: LinuxKernel, { pod, lease }: Wish, bridge: number): Links {
  const links = composeLinks(kernel, pod.podFd, lease, bridge);
  beginLinks(pod, links);
  return links;
}

/**
 * All that a pod has in the kernel, in one program of the binary's; the routes that the pod has got. The kernel needs
 * longer for most of it than we for its guard, so the binary begins at once; only the host's end is opened last.
 */
async function plug(kernel: LinuxKernel, wish: Wish, bridge: number): Promise<readonly Cidr[]> {
  const { pod, lease, gateways, prepared, guard, meanwhile, promise, sent } = wish;
  const links = prepared?.links ?? freshLinks(kernel, wish, bridge);
  const wiring = prepared?.wiring ?? composeWiring(kernel, lease, gateways, links);
  const parts = [links.to, wiring.to];
  const [shut, open] = wiring.frames;
  pod.begin(shut);
  const done = (async () => {
    const guarding = guard();
    guarding.catch(() => {});
    meanwhile();
    return guarding;
  })();
  // Of a call whose binary has gone nothing must be kept: it is undone.
  const guarded = await Promise.race([pod.lost, done]).catch(async error => {
    await Promise.allSettled([pod.run(parts, encodeProgram([])), ...answersOf(wiring)]);
    await links.made;
    throw error;
  });
  const ran = pod.run(parts, open, guarded ? promise() : undefined);
  sent();
  // The first refusal is the reason for the others.
  const { routes, running, others } = wiring;
  const [, , got, hostRuns, podRuns] = await together(ran, links.made, routes, ...running, ...others);
  // Kernels before 6.8 leave it to a worker.
  if (!(hostRuns && podRuns))
    await together(untilRunning(kernel.rt, links.outside), untilRunning(pod.rt, links.inside));
  return got;
}

const TRIES = 4;

/** Again where an index was taken, or where the bridge is another one by now. */
async function plugSurely(kernel: LinuxKernel, wish: Wish, tries = TRIES): Promise<readonly Cidr[]> {
  const known = bridges.get(kernel);
  const bridge = known ?? (await bridgeIndex(kernel));
  bridges.set(kernel, bridge);
  try {
    return await plug(kernel, wish, bridge);
  } catch (error) {
    const code = error instanceof LinuxError ? error.code : '';
    if (code === 'EEXIST') throw exists(wish.lease);
    const stale = known !== undefined && code === 'EINVAL';
    if (stale) bridges.delete(kernel);
    if (tries === 1 || !(stale || code === 'EBUSY')) throw error;
    // It was something else that was refused: a second try would take our own links for another's.
    if ((await kernel.links.get(wish.lease.link)) !== undefined) throw error;
    return plugSurely(kernel, { ...wish, prepared: undefined }, tries - 1);
  }
}

/**
 * By the agent's own socket, and before the port is open: what passes it is looked up there. A program that ends closes
 * its socket for tables, and where somebody has just deleted elements the kernel lets it wait for many milliseconds
 * until nobody looks at them any more (nft_rcv_nl_event).
 */
const admitFrames = (kernel: LinuxKernel, lease: Lease): Promise<void> =>
  kernel.nft.elements('bridge', NFT_TABLE, podElements(lease, 'add'));

async function guardFrames(kernel: LinuxKernel, { lease, guard }: Wish): Promise<boolean> {
  const [guarded] = await together(guard(), admitFrames(kernel, lease));
  return guarded;
}

/**
 * Makes the wire; resolves to the default routes that the pod has by it. On rejection something may be half made: call
 * `detach`; but not where the error is CODES.exists, since then there are no links but another's: `dropElements`.
 */
export function attach(kernel: LinuxKernel, wish: Wish): Promise<readonly Cidr[]> {
  let guarding: Promise<boolean> | undefined;
  // Once, whatever number of tries.
  const guard = (): Promise<boolean> => (guarding ??= guardFrames(kernel, wish));
  return Promise.race([plugSurely(kernel, { ...wish, guard }), wish.pod.lost]);
}

/** Elements one by one where it must be: that one is missing must not keep the others. */
export async function dropElements(kernel: LinuxKernel, changes: readonly ElementChange[]): Promise<void> {
  try {
    await kernel.nft.elements('bridge', NFT_TABLE, changes);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    for (const change of changes)
      await kernel.nft.elements('bridge', NFT_TABLE, [change]).catch(e => {
        if (!isNotFound(e)) throw e;
      });
  }
}

/** Takes the wire away. What is gone already is no error. */
export async function detach(kernel: LinuxKernel, lease: Lease): Promise<void> {
  await dropElements(kernel, podElements(lease, 'delete'));
  await kernel.links.remove(lease.link).catch(error => {
    if (!isNotFound(error)) throw error;
  });
}

/** Mends the node's side of a living pod. */
export async function restoreHostSide(
  kernel: LinuxKernel,
  lease: Lease,
  gateways: readonly Ip[],
): Promise<void> {
  const [link, bridge] = await Promise.all([kernel.links.get(lease.link), bridgeIndex(kernel)]);
  if (link === undefined) throw vanished(lease.link);
  await Promise.all([
    changeLink(kernel.rt, link.index, { master: bridge, up: true, isolated: true }),
    leadToPod(kernel.rt, lease, gateways, link.index),
    refuseAdverts(kernel, lease.link),
  ]);
}
