/** NetworkPolicies in the agent: what was known, the watches, the room, and how they are switched off. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CniServer } from '../cni/server.ts';
import type { Config } from '../config.ts';
import { POLICY_TABLE, RUN_DIR, STATE_DIR } from '../constants.ts';
import type { Client } from '../discovery/client.ts';
import { systemClock } from '../discovery/clock.ts';
import { startCluster, type WatchReport } from '../discovery/cluster.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { readIfThere } from '../discovery/files.ts';
import { parseSources, printSources, type Remembered } from '../discovery/remembered.ts';
import { startSaver } from '../discovery/saver.ts';
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import type { TableMemos } from '../platform/linux/table.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { openApplier } from '../policy/apply.ts';
import { type Cutter, startCutter } from '../policy/cut.ts';
import { startDeniedLog } from '../policy/denied.ts';
import { evaluate } from '../policy/evaluate.ts';
import { openPolicyRoom, type PolicyReport } from '../policy/room.ts';
import type { Cluster, Packet } from '../policy/types.ts';
import type { Wired } from '../policy/wired.ts';
import { verdictWords } from '../policy/words.ts';
import type { Ip } from '../types.ts';
import type { Log } from './log.ts';
import { startRunner } from './runner.ts';

export type PolicyOptions = {
  readonly config: Config;
  readonly nodeName: string;
  readonly kernel: LinuxKernel;
  readonly memos: TableMemos;
  readonly client: Client;
  readonly discovery: Discovery;
  readonly cni: CniServer;
  /** For metrics. */
  readonly timed: (ms: number) => void;
  readonly log: Log;
};

export type AgentPolicy = {
  /** Awaited before a pod is wired; true where there is nothing to await before ADD answers. */
  readonly guard: (pod: Wired) => Promise<boolean>;
  /** Awaited before ADD answers. */
  readonly admit: (pod: Wired) => Promise<void>;
  /** Nodes or attachments have changed. */
  readonly mark: () => void;
  /** The kernel has news of nftables. */
  readonly suspect: () => void;
  readonly report: () => AgentPolicyReport;
  /** What the policies that are known here say of a packet. */
  readonly judge: (packet: Packet) => Judgement;
  readonly close: () => Promise<void>;
};

/** `allowed` is undefined where it is not known, or not ours to say. */
export type Judgement = { readonly allowed: boolean | undefined; readonly words: readonly string[] };

export type AgentPolicyReport =
  | { readonly enabled: false }
  | ({
      readonly enabled: true;
      readonly cut: number;
      readonly watches: Readonly<Record<string, WatchReport>>;
    } & PolicyReport);

const POLICIES = join(STATE_DIR, 'policies.json');
const PODS = join(RUN_DIR, 'policy-pods.json');

/** Policies change seldom and must survive a boot; pods change all the time and lie on a tmpfs. */
const POLICIES_MS = 1_000;
const PODS_MS = 2_000;

/** `wired`: there are pods already, so their file must be there too. */
function remember(wired: boolean, log: Log): Remembered | undefined {
  try {
    const policies = readIfThere(POLICIES);
    const pods = readIfThere(PODS);
    if (policies === undefined || (pods === undefined && wired)) return undefined;
    const read = parseSources(policies, pods);
    if (read.ok) return read.value;
    log.warn(
      { error: read.error },
      'the policies of the last run cannot be read; they come again from the API server',
    );
  } catch (error) {
    log.warn({ error: String(error) }, 'the policies of the last run cannot be read');
  }
  return undefined;
}

const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** What was remembered would be in force again, long outdated, when policies are switched on. */
async function takeAway({ nft }: Kernel): Promise<void> {
  for (const path of [POLICIES, PODS]) rmSync(path, { force: true });
  if ((await nft.list('inet', POLICY_TABLE, true)) !== undefined)
    await nft.apply(`delete table inet ${POLICY_TABLE}\n`);
}

/** Another controller has the policies: ours are taken away, tried until it is done. */
function switchedOff({ kernel, log }: PolicyOptions): AgentPolicy {
  const runner = startRunner({
    run: async () => {
      await takeAway(kernel);
      void runner.stop();
      return undefined;
    },
    onError: error =>
      log.error(
        { error: String(error) },
        `networkPolicy is off, but what was in force cannot be taken away (table inet ${POLICY_TABLE}); trying again`,
      ),
    minMs: 0,
    maxMs: MAX_RETRY_MS,
    retryMs: RETRY_MS,
  });
  runner.mark();
  return {
    guard: async () => true,
    admit: async () => {},
    mark: () => {},
    suspect: () => {},
    report: () => ({ enabled: false }),
    judge: () => ({
      allowed: undefined,
      words: ['weft enforces no policies here: the setting networkPolicy is off'],
    }),
    close: runner.stop,
  };
}

const localAddresses = async (kernel: Kernel): Promise<ReadonlySet<Ip>> =>
  new Set((await kernel.addresses.list()).map(({ address }) => address.split('/')[0] as Ip));

function judgeBy(cluster: Cluster | undefined, packet: Packet): Judgement {
  if (cluster === undefined) return { allowed: undefined, words: ['the policies are not known here yet'] };
  const verdict = evaluate(cluster, packet);
  return { allowed: verdict.allowed, words: verdictWords(cluster, packet, verdict) };
}

/** What was known is in force at once; nothing waits for the API server. */
export async function openPolicy(options: PolicyOptions): Promise<AgentPolicy> {
  const { config, nodeName, kernel, memos, client, discovery, cni, log } = options;
  if (!config.networkPolicy) return switchedOff(options);
  const initial = remember(cni.leases().length > 0, log);
  const { flows, nft } = kernel;
  const cutter: Cutter | undefined = config.policyKeepConnections
    ? undefined
    : startCutter({ flows, nft, local: () => localAddresses(kernel), log });
  let changed = (): void => {};
  const cluster = startCluster({
    client,
    nodeName,
    log,
    clock: systemClock,
    initial,
    onChange: () => changed(),
    forbidden: sentence => discovery.event('WeftForbidden', sentence),
  });
  const saved = {
    log,
    clock: systemClock,
    fresh: initial === undefined,
    trouble: 'policies cannot be saved; without the API server a restart would not know them',
  };
  const savers = [
    startSaver({
      ...saved,
      path: POLICIES,
      debounceMs: POLICIES_MS,
      print: () => {
        const { policies, namespaces } = cluster.sources();
        return printSources({ policies, namespaces });
      },
    }),
    startSaver({
      ...saved,
      path: PODS,
      debounceMs: PODS_MS,
      print: () => {
        const { ownPods, otherPods } = cluster.sources();
        return printSources({ ownPods, otherPods });
      },
    }),
  ];
  const room = openPolicyRoom({
    nodeName,
    applier: openApplier(nft, memos, config.policyLog),
    objects: cluster.objects,
    known: cluster.known,
    synced: cluster.synced,
    nodes: () => discovery.facts(),
    wired: () => cni.leases(),
    applied: rules => cutter?.mark(rules),
    timed: options.timed,
    log,
  });
  const denied = config.policyLog && startDeniedLog({ nft, cluster: room.cluster, log });
  changed = () => {
    room.mark();
    if (cluster.synced()) for (const saver of savers) saver.mark();
  };
  return {
    guard: room.guard,
    admit: room.admit,
    mark: room.mark,
    suspect: room.suspect,
    judge: packet => judgeBy(room.cluster(), packet),
    report: () => ({ enabled: true, ...room.report(), cut: cutter?.count() ?? 0, watches: cluster.report() }),
    close: async () => {
      await room.close();
      if (denied) await denied.close();
      await cluster.close();
      for (const saver of savers) await saver.close();
      await cutter?.close();
    },
  };
}
