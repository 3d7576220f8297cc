/** What the agent knows at a scrape → samples. Pure. */
import type { StatusReport } from '../agent/report.ts';
import type { Config } from '../config.ts';
import { STATES } from '../mesh/state.ts';
import type { PeerStatus } from '../mesh/status.ts';
import type { MetricName, Recorded } from './table.ts';

export type Sample = {
  readonly name: Exclude<MetricName, Recorded>;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

/** What is not in the status. Times in seconds. */
export type ProcessFacts = {
  readonly nodeVersion: string;
  readonly arch: string;
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  readonly startSeconds: number;
  /** Delay of the event loop since the last scrape, by quantile: 0.5, 0.99, 1. */
  readonly loopDelay: Readonly<Record<string, number>>;
  /** Of the pass under way; 0: none is. */
  readonly runningSeconds: number;
};

export type Scrape = {
  readonly status: StatusReport;
  readonly process: ProcessFacts;
  /** Packets by named counter of the mesh's nft table; undefined: it is not there. */
  readonly dropped: Readonly<Record<string, number>> | undefined;
  /** Packets that policies dropped, by direction; undefined: there is no policy. */
  readonly denied: Readonly<Record<string, number>> | undefined;
  readonly peerMetrics: Config['peerMetrics'];
};

/** Peers with series of their own: at 1,000 nodes a full set would be 8 million series. */
export const PEER_LIMIT = 200;

const one = (
  name: Sample['name'],
  value: number | undefined,
  labels: Sample['labels'] = {},
): readonly Sample[] => (value === undefined ? [] : [{ name, labels, value }]);

const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000);

function shown(peers: readonly PeerStatus[], mode: Config['peerMetrics']): readonly PeerStatus[] {
  if (mode === 'none') return [];
  const all = mode === 'all' && peers.length <= PEER_LIMIT;
  return all ? peers : peers.filter(p => p.state !== 'established').slice(0, PEER_LIMIT);
}

function ofPeer(p: PeerStatus): readonly Sample[] {
  const peer = { peer: p.node };
  return [
    ...one('weft_peer_established', Number(p.state === 'established'), peer),
    ...one('weft_peer_state_seconds', seconds(p.stateAgeMs), { ...peer, state: p.state }),
    ...one('weft_peer_path', 1, { ...peer, path: p.path, found: p.endpointSource ?? 'none' }),
    ...one('weft_peer_receive_bytes_total', p.rxBytes, peer),
    ...one('weft_peer_transmit_bytes_total', p.txBytes, peer),
    ...one('weft_peer_handshake_age_seconds', seconds(p.handshakeAgeMs), peer),
    ...one('weft_peer_rtt_seconds', seconds(p.rttMs), peer),
    ...one('weft_peer_answer_age_seconds', seconds(p.answeredAgeMs), peer),
    ...one('weft_peer_loss_ratio', p.loss, peer),
    ...one('weft_peer_endpoint_changes_total', p.endpointChanges, peer),
  ];
}

function ofMesh({ status, peerMetrics }: Scrape): readonly Sample[] {
  const { peers } = status;
  const own = shown(peers, peerMetrics);
  return [
    ...STATES.flatMap(state => one('weft_peers', peers.filter(p => p.state === state).length, { state })),
    ...one('weft_probe_round_seconds', seconds(status.probes.roundMs)),
    ...one('weft_peers_excluded', status.excluded.length),
    ...one('weft_warnings', status.warnings.length),
    ...own.flatMap(ofPeer),
    ...one('weft_peers_without_series', peers.length - own.length),
  ];
}

const SEVERITIES = ['error', 'warning', 'info'];

function ofNode({ status, dropped }: Scrape): readonly Sample[] {
  const { cni, host, api, reconcile } = status;
  const pools = cni.pools.flatMap(pool => [
    ...one('weft_ipam_addresses', pool.used, { pool: pool.cidr, state: 'used' }),
    ...one('weft_ipam_addresses', pool.cooling, { pool: pool.cidr, state: 'cooling' }),
    ...one('weft_ipam_addresses', Number(pool.free), { pool: pool.cidr, state: 'free' }),
  ]);
  return [
    ...status.parts.flatMap(({ part, ready }) => one('weft_ready', Number(ready), { part })),
    ...one('weft_engine', 1, { engine: status.engine.kind }),
    ...one('weft_mtu_bytes', status.mtu),
    ...one('weft_pods', status.pods.length),
    ...SEVERITIES.flatMap(severity =>
      one('weft_host_findings', host.findings.filter(f => f.severity === severity).length, { severity }),
    ),
    ...pools,
    ...one('weft_api_connected', Number(api.connected)),
    ...one('weft_api_watch_restarts_total', api.restarts),
    ...one('weft_kernel_changes_total', reconcile.changes),
    ...one('weft_processes_spawned_total', reconcile.spawns),
    ...Object.entries(status.mended).flatMap(([kind, count]) => one('weft_mended_total', count, { kind })),
    ...one('weft_plaintext_dropped_packets_total', dropped?.plaintext_dropped),
    ...one('weft_strayed_dropped_packets_total', dropped?.strayed_dropped),
  ];
}

function ofPolicy({ status: { policy }, denied }: Scrape): readonly Sample[] {
  if (!policy.enabled) return [];
  return [
    ...one('weft_policies', policy.policies),
    ...one('weft_policy_pods', policy.isolated, { state: 'isolated' }),
    ...one('weft_policy_pods', policy.pending.length, { state: 'pending' }),
    ...one('weft_policy_failing', Number(policy.error !== undefined)),
    ...one('weft_policy_connections_cut_total', policy.cut),
    ...Object.entries(denied ?? {}).flatMap(([direction, packets]) =>
      one('weft_policy_dropped_packets_total', packets, { direction }),
    ),
  ];
}

const ofProcess = ({ process: p, status }: Scrape): readonly Sample[] => [
  ...one('weft_build_info', 1, { version: status.version, node_version: p.nodeVersion, arch: p.arch }),
  ...one('weft_reconcile_running_seconds', p.runningSeconds),
  ...Object.entries(p.loopDelay).flatMap(([quantile, value]) =>
    one('weft_event_loop_delay_seconds', value, { quantile }),
  ),
  ...one('process_resident_memory_bytes', p.residentBytes),
  ...one('process_cpu_seconds_total', p.cpuSeconds),
  ...one('process_start_time_seconds', p.startSeconds),
];

/** All that is collected at a scrape. */
export const samplesOf = (scrape: Scrape): readonly Sample[] => [
  ...ofProcess(scrape),
  ...ofNode(scrape),
  ...ofPolicy(scrape),
  ...ofMesh(scrape),
];
