/** The verbs, each as one story from request to answer. Effects go through `attach` and the book. */
import { existsSync } from 'node:fs';
import type { Log } from '../agent/log.ts';
import { NFT_TABLE } from '../constants.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import type { Ip } from '../types.ts';
import { add, mustBeReady } from './add.ts';
import type { Book } from './book.ts';
import { delOnRequest, free } from './del.ts';
import type { DelQueue } from './delqueue.ts';
import { missingElements } from './elements.ts';
import { CniError, CODES } from './errors.ts';
import { followMac } from './followmac.ts';
import type { HeadStart } from './headstart.ts';
import { hostFaults, podFaults, viewHost } from './inspect.ts';
import type { Keyed } from './keyed.ts';
import { type Lease, leaseKey } from './lease.ts';
import type { ReservedPort } from './ports.ts';
import type { Ports } from './publish.ts';
import type { Session } from './session.ts';
import type { Limiter } from './shape.ts';
import type { Request } from './spec.ts';
import type { Strangers } from './strangers.ts';

export type Ready = {
  readonly gateways: readonly Ip[];
  readonly mtu: number;
  readonly reservedPorts?: readonly ReservedPort[];
};

export type VerbDeps = {
  readonly kernel: LinuxKernel;
  readonly book: Book;
  readonly keyed: Keyed;
  readonly log: Log;
  readonly now: () => number;
  /** What ADD needs of the node, or why it has to wait. */
  readonly ready: () => Ready | { readonly reason: string };
  /** The same, as soon as there is no reason left to wait, or after `ms`. */
  readonly readyWithin: (ms: number) => Promise<Ready | { readonly reason: string }>;
  readonly queue: DelQueue;
  readonly ports: Ports;
  readonly limiter: Limiter;
  readonly strangers: Strangers;
  readonly readyMarker: string;
  /**
   * Awaited before the pod has a wire: whoever sends from the first moment on must find its policy there. True where
   * nothing is left to be awaited before the answer.
   */
  readonly beforeWire: (lease: Lease) => Promise<boolean>;
  /** Awaited before ADD answers: the pod's policy must be in force by then. */
  readonly beforeAnswer: (lease: Lease) => Promise<void>;
  readonly released: (ips: readonly Ip[]) => void;
  /** What a foreign hand undid was put back: so many pods' wires, or rules against spoofing. */
  readonly mended: (kind: 'pods' | 'anti-spoofing', count: number) => void;
  /** Attachments whose DEL is answered and whose addresses will be free in a moment. */
  readonly leaving: Set<Promise<void>>;
};

const keyOf = (request: Request): string => leaseKey(request);

const broken = (faults: readonly string[]): CniError =>
  new CniError(CODES.broken, `the pod's network is not as ADD left it: ${faults[0]}`, faults.join('; '));

async function check(deps: VerbDeps, request: Request, session: Session): Promise<string> {
  if (request.prevResult === undefined)
    throw new CniError(
      CODES.badConfig,
      'CHECK needs prevResult',
      'the result of the ADD must be in the configuration',
    );
  const held = deps.book.get(keyOf(request));
  if (held === undefined)
    throw new CniError(
      CODES.unknownContainer,
      `container ${request.containerId} has no ${request.ifname} here`,
    );
  const missing = held.ips.filter(ip => !request.prevResult?.ips.includes(ip));
  if (missing.length > 0) throw broken([`${missing.join(', ')} is held for the pod, but not in prevResult`]);
  const { gateways } = mustBeReady(deps.ready());
  const pod = await session.enter();
  const lease = await followMac(deps, pod, held, request.prevResult, gateways);
  const [view, listing, inside] = await Promise.all([
    viewHost(deps.kernel),
    deps.kernel.nft.list('bridge', NFT_TABLE),
    podFaults(pod, lease, request.prevResult.routes),
  ]);
  const unguarded = missingElements(listing ?? '', [lease]).map(
    ({ set }) => `its entry in set ${set} of table bridge ${NFT_TABLE} is missing`,
  );
  const faults = [
    ...hostFaults(view, lease, gateways),
    ...inside,
    ...unguarded,
    ...(await deps.ports.faults(lease)),
    ...(await deps.limiter.faults(lease)),
  ];
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

/** As long as the binary waits for an agent that is away; together they stay under half of the runtime's patience. */
const WAIT_MS = 15_000;

/** Answered when nothing is to be seen of the attachment; the next verb on it waits for the rest. */
function answerDel(deps: VerbDeps, request: Request, session: Session): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  deps.keyed
    .run(keyOf(request), async () => {
      const rest = (await delOnRequest(deps, request, session))?.();
      resolve('');
      if (rest === undefined) return;
      deps.leaving.add(rest);
      await rest.finally(() => deps.leaving.delete(rest));
    })
    .catch(error => {
      reject(error);
      deps.log.warn({ container: request.containerId, error: String(error) }, 'DEL is not complete');
    });
  return promise;
}

async function answerAdd(
  deps: VerbDeps,
  request: Request,
  session: Session,
  head: HeadStart | undefined,
): Promise<string> {
  mustBeReady(await deps.readyWithin(WAIT_MS));
  return deps.keyed.run(keyOf(request), () => add(deps, request, session, head));
}

/** Dispatch; verbs on one attachment take turns. */
export async function runVerb(
  deps: VerbDeps,
  request: Request,
  session: Session,
  head?: HeadStart,
): Promise<string> {
  switch (request.command) {
    case 'ADD':
      return answerAdd(deps, request, session, head);
    case 'DEL':
      return answerDel(deps, request, session);
    case 'CHECK':
      return deps.keyed.run(keyOf(request), () => check(deps, request, session));
    case 'GC':
      return gc(deps, request);
    case 'STATUS':
      return status(deps);
    case 'VERSION':
      return `${JSON.stringify({
        cniVersion: '1.1.0',
        supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
      })}\n`;
  }
}
