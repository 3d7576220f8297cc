/** Every metric of the agent: its name, kind, labels, and the sentence that documents it. docs/metrics.md is made from this. */

export type MetricKind = 'gauge' | 'counter' | 'histogram';

export type Metric = {
  readonly kind: MetricKind;
  readonly help: string;
  readonly labels: readonly string[];
  /** Of histograms: upper bounds in seconds. */
  readonly buckets?: readonly number[];
};

const gauge = (help: string, ...labels: readonly string[]): Metric => ({ kind: 'gauge', help, labels });
const counter = (help: string, ...labels: readonly string[]): Metric => ({ kind: 'counter', help, labels });
const histogram = (help: string, buckets: readonly number[], ...labels: readonly string[]): Metric => ({
  kind: 'histogram',
  help,
  labels,
  buckets,
});

const FAST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];
const SLOW = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** In the order of the page. Times in seconds, sizes in bytes, as Prometheus has it. */
export const metrics = {
  weft_build_info: gauge('Always 1; what runs.', 'version', 'node_version', 'arch'),
  weft_ready: gauge('1 where this part of /readyz is ready, else 0.', 'part'),
  weft_engine: gauge('Always 1; which WireGuard is in use: kernel, wireguard-go or none.', 'engine'),
  weft_mtu_bytes: gauge('MTU of the tunnel and of new pods.'),
  weft_pods: gauge('Pod interfaces that weft has wired on this node.'),
  weft_peers: gauge('Peers by state, over all of them whatever peerMetrics says.', 'state'),
  weft_probe_round_seconds: gauge(
    'Within which every silent peer is asked once; longer the more peers there are.',
  ),
  weft_peers_excluded: gauge(
    'Nodes that are not peers, since facts are missing or an older Node holds the same.',
  ),
  weft_warnings: gauge('Things of Nodes that a person should look at; weft status has them in words.'),
  weft_host_findings: gauge(
    'Things of this host that a person should look at; weft doctor has them in words.',
    'severity',
  ),

  weft_peer_established: gauge('1 while probes inside the tunnel to this peer are answered, else 0.', 'peer'),
  weft_peer_state_seconds: gauge('How long the peer has been in the state that it is in.', 'peer', 'state'),
  weft_peer_path: gauge(
    'Always 1; how the peer is reached, and how its endpoint was found.',
    'peer',
    'path',
    'found',
  ),
  weft_peer_receive_bytes_total: counter('Bytes received from the peer, as WireGuard counts them.', 'peer'),
  weft_peer_transmit_bytes_total: counter('Bytes sent to the peer, as WireGuard counts them.', 'peer'),
  weft_peer_handshake_age_seconds: gauge('Since the last handshake; absent before the first.', 'peer'),
  weft_peer_rtt_seconds: gauge('Round trip inside the tunnel, smoothed.', 'peer'),
  weft_peer_answer_age_seconds: gauge(
    'Since a probe inside the tunnel to the peer was last answered: so old are its state, round trip and loss.',
    'peer',
  ),
  weft_peer_loss_ratio: gauge('Share of the last 20 probes that were lost.', 'peer'),
  weft_peer_endpoint_changes_total: counter('How often the peer’s endpoint has changed.', 'peer'),
  weft_peers_without_series: gauge(
    'Peers that peerMetrics, or the limit of 200, leaves without series of their own.',
  ),

  weft_reconcile_duration_seconds: histogram('One pass: read, plan, apply, publish, mend.', SLOW),
  weft_reconcile_errors_total: counter('Steps of passes that failed.', 'step'),
  weft_reconcile_running_seconds: gauge('How long the pass under way has been running; 0 between passes.'),
  weft_kernel_changes_total: counter('Changing calls to the kernel.'),
  weft_processes_spawned_total: counter('Programs started, such as wg and nft.'),

  weft_cni_duration_seconds: histogram(
    'CNI calls from their arrival to their answer.',
    FAST,
    'verb',
    'result',
  ),
  weft_ipam_addresses: gauge(
    'Addresses of this node’s pod ranges: used, cooling (free, but not given out yet), free.',
    'pool',
    'state',
  ),

  weft_api_connected: gauge('1 while the watch of Nodes is connected.'),
  weft_api_watch_restarts_total: counter('How often the watch of Nodes had to begin anew.'),

  weft_policy_program_seconds: histogram(
    'A change of the policies’ rules: compiled and put into the kernel.',
    FAST,
  ),
  weft_mended_total: counter('Things that foreign hands undid on this node and the agent put back.', 'kind'),
  weft_policies: gauge('NetworkPolicies that are known here; absent where networkPolicy is off.'),
  weft_policy_pods: gauge(
    'Pods of this node that policies isolate, and that wait for theirs to be known.',
    'state',
  ),
  weft_policy_failing: gauge('1 while the policies’ rules cannot be put into the kernel, else 0.'),
  weft_policy_dropped_packets_total: counter(
    'Packets of pods of this node that policies dropped.',
    'direction',
  ),
  weft_policy_connections_cut_total: counter('Connections ended since a policy that came later denies them.'),
  weft_plaintext_dropped_packets_total: counter(
    'Packets of pods that came or would have left outside of a tunnel, and were dropped.',
  ),
  weft_strayed_dropped_packets_total: counter(
    'Packets out of the tunnel that were for nobody here, and were dropped.',
  ),

  weft_event_loop_delay_seconds: gauge(
    'How late the agent’s event loop was since the last scrape, at this quantile.',
    'quantile',
  ),
  process_resident_memory_bytes: gauge('Memory of the agent.'),
  process_cpu_seconds_total: counter('CPU time of the agent.'),
  process_start_time_seconds: gauge('When the agent started, in seconds since the epoch.'),
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof metrics;

/** Those that rooms record when something happens; all others are collected at a scrape. */
export const RECORDED = [
  'weft_reconcile_duration_seconds',
  'weft_reconcile_errors_total',
  'weft_cni_duration_seconds',
  'weft_policy_program_seconds',
] as const satisfies readonly MetricName[];

export type Recorded = (typeof RECORDED)[number];
