/**
 * Looks for what the kernel has no news of: peers that somebody removed or changed, settings of /proc/sys that
 * somebody wrote, and the files that the runtime calls us by, without which a node is NotReady. Costs less than half a
 * percent of a core, however many peers there are.
 */
import { WG_LINK } from '../constants.ts';
import { nodeSysctls } from '../mesh/links.ts';
import { peersAsPlanned } from '../mesh/mended.ts';
import type { MeshPlan } from '../mesh/types.ts';
import type { Kernel } from '../platform/linux/types.ts';

const LOOK_MS = 1_000;

/** A device of many peers takes longer to read, some 10 µs a peer, and is read more seldom. */
const PER_PEER_MS = 4;

/** What so many passes do not put right is tried at this pace. */
const TRIES = 3;
const AGAIN_MS = 10_000;

export type Lookout = { readonly stop: () => void };

async function sysctlsAsPlanned(kernel: Kernel, plan: MeshPlan): Promise<boolean> {
  for (const { key, value } of nodeSysctls(plan)) {
    const now = await kernel.sysctls.read(key);
    if (now !== undefined && now !== value) return false;
  }
  return true;
}

type Undone = 'files' | 'peers' | 'settings' | 'unreadable';

async function undone(kernel: Kernel, plan: MeshPlan): Promise<Undone | undefined> {
  const peers = await kernel.wg.allowed(WG_LINK);
  if (peers !== undefined && !peersAsPlanned(plan, peers)) return 'peers';
  return (await sysctlsAsPlanned(kernel, plan)) ? undefined : 'settings';
}

/** `mark`: a pass shall come. `plan`: of the last pass. */
export function startLookout(options: {
  readonly kernel: Kernel;
  readonly plan: () => MeshPlan | undefined;
  /** Whether the files of the CNI plugin are as they were left. */
  readonly untouched: () => boolean;
  readonly mark: () => void;
  readonly lookMs?: number;
}): Lookout {
  const { kernel, plan, untouched, mark, lookMs = LOOK_MS } = options;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let markedAt = Number.NEGATIVE_INFINITY;
  let last: Undone | undefined;
  let tries = 0;

  const look = async (): Promise<void> => {
    const now = plan();
    if (now === undefined) return;
    // What cannot be read, as of an engine that hangs, is for a pass to say.
    const found = untouched() ? await undone(kernel, now).catch(() => 'unreadable' as const) : 'files';
    tries = found === last ? tries + 1 : 1;
    last = found;
    if (found === undefined || (tries > TRIES && performance.now() - markedAt < AGAIN_MS)) return;
    markedAt = performance.now();
    mark();
  };

  const later = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(() => void run(), ms);
    timer.unref();
  };

  const run = async (): Promise<void> => {
    await look();
    later(lookMs + (plan()?.peers.length ?? 0) * PER_PEER_MS);
  };

  later(lookMs);
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
