/** What the agent answers over HTTP: health, readiness, status, metrics. */
import { setImmediate as turn } from 'node:timers/promises';
import type { OtherConfigs } from '../cni/install.ts';
import type { CniServer } from '../cni/server.ts';
import { WG_LINK } from '../constants.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { Diagnosis } from '../doctor/types.ts';
import type { HostWatch } from '../host/watch.ts';
import type { Mended } from '../mesh/mended.ts';
import type { Outcome } from '../mesh/reconcile.ts';
import { type PeerStatus, peerStatuses } from '../mesh/status.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { VERSION } from '../version.ts';
import { type Answer, json, type Routes, text } from './http.ts';
import { roundOf } from './pace.ts';
import { parsePacket } from './packet.ts';
import { parsePing } from './ping.ts';
import type { AgentPolicy, AgentPolicyReport } from './policy.ts';
import type { Prober } from './prober.ts';
import { isReady, readiness } from './readiness.ts';
import type { RotationStatus } from './rotation.ts';

export type ReportSources = {
  readonly nodeName: string;
  readonly discovery: Discovery;
  readonly cni: CniServer;
  readonly kernel: Kernel;
  readonly outcome: () => Outcome | undefined;
  readonly prober: Prober;
  readonly installed: () => string | undefined;
  readonly configs: () => OtherConfigs;
  readonly leftovers: () => readonly string[];
  /** What a person should know of this host. */
  readonly host: HostWatch['report'];
  readonly policy: () => AgentPolicyReport;
  readonly judge: AgentPolicy['judge'];
  /** Milliseconds since the loop last finished a pass or was found idle. */
  readonly stuckFor: () => number;
  readonly runs: () => number;
  readonly rotation: () => RotationStatus;
  readonly rotateKey: () => void;
  readonly mended: () => Mended;
};

/** A pass that has not ended after this is stuck: the kubelet may restart us, the data path stays. */
const STUCK_MS = 120_000;

const parts = (s: ReportSources) => readiness(s.nodeName, s.outcome(), s.discovery.state(), s.installed());

const readyz = (s: ReportSources): Answer => {
  const all = parts(s);
  const lines = all.map(p => `${p.ready ? 'ok' : 'not ready'}: ${p.part}${p.reason ? `: ${p.reason}` : ''}`);
  return text(lines.join('\n'), isReady(all) ? 200 : 503);
};

const healthz = (s: ReportSources): Answer =>
  s.stuckFor() > STUCK_MS
    ? text(`a pass has been running for ${Math.round(s.stuckFor() / 1000)} s`, 503)
    : text('ok');

/** Peers measured afresh: the device is read at each question. With pauses for the event loop, since there may be a thousand. */
async function peers(s: ReportSources): Promise<readonly PeerStatus[]> {
  const outcome = s.outcome();
  if (outcome === undefined) return [];
  // An engine that hangs is told of by the passes; what is remembered of the peers can be said all the same.
  const device = await s.kernel.wg.dump(WG_LINK).catch(() => undefined);
  await turn();
  if (device !== undefined) s.prober.look(device);
  await turn();
  return peerStatuses(outcome.plan, device, s.prober.measures(), s.discovery.facts(), s.prober.now());
}

export async function statusReport(s: ReportSources) {
  // First, since an engine that hangs takes its time to be given up, and all else is of after it.
  const listed = await peers(s);
  const outcome = s.outcome();
  const all = parts(s);
  return {
    version: VERSION,
    node: s.nodeName,
    location: s.discovery.own()?.fact.location,
    ready: isReady(all),
    parts: all,
    engine: outcome?.engine ?? { kind: 'none', reason: 'starting' },
    publicKey: outcome?.device?.publicKey,
    rotation: s.rotation(),
    listenPort: outcome?.device?.listenPort,
    mtu: outcome?.plan.settings.mtu,
    podCidrs: outcome?.plan.self.podCidrs ?? [],
    gateways: outcome?.plan.self.gateways ?? [],
    clusterCidrs: outcome?.plan.clusterCidrs ?? [],
    endpoints: s.discovery.own()?.fact.endpoints ?? [],
    peers: listed,
    /** Every silent peer is asked once in so long. */
    probes: { roundMs: roundOf(outcome?.plan.peers.length ?? 0) },
    excluded: outcome?.plan.excluded ?? [],
    warnings: outcome?.plan.warnings ?? [],
    host: s.host(),
    api: s.discovery.state(),
    cni: { ...s.cni.stats(), otherConfigs: s.configs(), leftovers: s.leftovers() },
    pods: s.cni.leases(),
    policy: s.policy(),
    mended: s.mended(),
    reconcile: { runs: s.runs(), lastChanges: outcome?.changes ?? 0, ...s.kernel.counts() },
  };
}

/** What `GET /status` answers, as JSON: absent where undefined. Fields are added, and not taken away or given another meaning. */
export type StatusReport = Awaited<ReturnType<typeof statusReport>>;

/** `/policy?src=IP&dst=IP&protocol=TCP|UDP|SCTP|ICMP&port=N`: what policies say of such a packet. */
function policy(s: ReportSources, query: URLSearchParams): Answer {
  const packet = parsePacket(query);
  return packet.ok ? json(s.judge(packet.value)) : text(packet.error, 400);
}

/** `/ping?node=NAME&size=BYTES|full&count=N`: over the data path, now. */
async function ping(s: ReportSources, query: URLSearchParams): Promise<Answer> {
  const question = parsePing(query);
  return question.ok ? json(await s.prober.ping(question.value)) : text(question.error, 400);
}

type Scrape = () => Promise<Answer>;

export const healthRoutes = (s: ReportSources, scrape: Scrape): Routes => ({
  '/healthz': () => healthz(s),
  '/readyz': () => readyz(s),
  '/metrics': scrape,
});

/** Only asks: how it goes is in the status. */
function rotateKey(s: ReportSources): Answer {
  s.rotateKey();
  return json(s.rotation(), 202);
}

/** For root on the node alone. */
export const statusRoutes = (s: ReportSources, scrape: Scrape, doctor: () => Promise<Diagnosis>): Routes => ({
  ...healthRoutes(s, scrape),
  '/doctor': async () => json(await doctor()),
  '/status': async () => json(await statusReport(s)),
  '/ping': query => ping(s, query),
  '/policy': query => policy(s, query),
  'POST /rotate-key': () => rotateKey(s),
});
