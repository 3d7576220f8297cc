/**
 * Every name and number that weft leaves on a node, each with its reason, so that
 * what is ours can be recognised after a crash without any other memory.
 */

/** Prefix of our Node annotations and our API group. */
export const ANNOTATION_PREFIX = 'weft.network/';

/** Bridge of the pods. Eight characters or less, so that names derived from it stay under IFNAMSIZ. */
export const BRIDGE = 'weft0';

/** MAC of the bridge: locally administered and constant, since pods hold it as a permanent neighbour. */
export const BRIDGE_MAC = '02:77:65:66:74:00';

/** WireGuard device. */
export const WG_LINK = 'weft-wg';

/** Host end of a pod's veth: this prefix and a hash of container id and interface name. */
export const VETH_PREFIX = 'wv';

/** Link at whose exit what a pod sends is slowed to its limit: this prefix and the hash in its host link's name. */
export const LIMIT_PREFIX = 'wb';

/** nft tables: one for the inet hooks, one in the bridge family, where iifname is the pod's port. */
export const NFT_TABLE = 'weft';

/** nft table (inet) of pods' hostPorts: apart from the mesh's, which is rewritten whole when the mesh changes. */
export const PORTS_TABLE = 'weft-ports';

/** nft table (inet) of NetworkPolicies: there only while there is one. */
export const POLICY_TABLE = 'weft-policy';

/** Route protocol of all our routes; 119 ('w') is in no distribution's rt_protos. */
export const ROUTE_PROTOCOL = 119;

/** Metric of the unreachable routes beneath the tunnel routes: worse than any route of equal length. */
export const UNREACHABLE_METRIC = 4_278_198_272;

/** UDP port of WireGuard, its registered default; a setting may change it. */
export const WG_PORT = 51820;

/** UDP port of the probes inside the tunnel (liveness and round trip), on the gateway addresses only. */
export const PROBE_PORT = 51821;

/** Settings, where an agent's pod has its ConfigMap; absent: all defaults. */
export const CONFIG_FILE = '/etc/weft/config.json';

/** Our CNI configuration: runtimes take the first by name, so that it comes before most. */
export const CONFLIST = '10-weft.conflist';

/** Loopback port of /healthz, /readyz and /metrics. */
export const HEALTH_PORT = 9807;

/** Persistent state: keys and last known peers. Mode 0700. */
export const STATE_DIR = '/var/lib/weft';

/** State that a reboot may forget (leases, markers, sockets): tmpfs. */
export const RUN_DIR = '/run/weft';

/** Socket between the CNI binary and the agent. 0600, root. */
export const CNI_SOCKET = `${RUN_DIR}/agent.sock`;

/** Socket of the agent's HTTP status API. 0600, root. */
export const STATUS_SOCKET = `${RUN_DIR}/status.sock`;

/** Exists once weft has been ready since boot: all that the CNI verb STATUS asks for. */
export const READY_MARKER = `${RUN_DIR}/ready`;

/** Leases, one file per pod interface. */
export const LEASE_DIR = `${RUN_DIR}/pods`;

/** When addresses were freed, a line each: they rest over a restart of the agent too. */
export const COOLING_FILE = `${RUN_DIR}/cooling`;

/** What settings of the kernel were before weft changed them, for `weft uninstall`. A reboot forgets both. */
export const SYSCTL_RECORD = `${RUN_DIR}/sysctls.json`;

/** DELs that the binary accepted while the agent was away, one file each. */
export const DEL_QUEUE_DIR = `${RUN_DIR}/del`;

/** IPv4 and IPv6 header, UDP, WireGuard: what the tunnel takes from the underlay's MTU. */
export const WG_OVERHEAD = 80;

/** Keepalive in seconds while nothing else is set: under the 30 s after which NATs forget a UDP flow. */
export const DEFAULT_KEEPALIVE = 25;
