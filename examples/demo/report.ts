/** What the demo found. Stable: `--json` prints it. */
export type PeerLine = {
  readonly node: string;
  readonly peer: string;
  readonly state: string;
  readonly endpoint: string | undefined;
  readonly handshakeAgeMs: number | undefined;
  readonly rttMs: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
};

export type PingLine = {
  readonly from: string;
  readonly to: string;
  readonly family: 4 | 6;
  readonly address: string;
  /** Undefined: no answer. */
  readonly rttMs: number | undefined;
};

export type PodLine = {
  readonly name: string;
  readonly node: string;
  readonly v4: string;
  readonly v6: string;
  readonly addMs: number;
};

export type WireProof = {
  /** Packets on the underlay between two nodes' WireGuard ports. */
  readonly wireguardPackets: number;
  /** Packets on the underlay with a pod's address in their headers. */
  readonly podAddressPackets: number;
  /** Whether the pods' payload was found in clear on the underlay. */
  readonly payloadOnUnderlay: boolean;
  /** The same search inside a tunnel, to show that it can find something. */
  readonly payloadInTunnel: boolean;
};

export type JoinTimes = {
  readonly node: string;
  /** From the Node's appearance in the API, which is the start of its agent. */
  readonly installedMs: number;
  readonly podReadyMs: number;
  /** First pod packet that each other node got across, by node. */
  readonly firstPacketMs: Readonly<Record<string, number>>;
  /** The slowest of these. */
  readonly allMs: number;
};

export type DemoReport = {
  readonly ok: boolean;
  readonly engine: string;
  readonly nodes: readonly string[];
  readonly pods: readonly PodLine[];
  readonly peers: readonly PeerLine[];
  readonly pings: readonly PingLine[];
  readonly wire: WireProof;
  readonly join: JoinTimes;
  readonly seconds: number;
  /** What is not as it should be; empty when ok. */
  readonly failures: readonly string[];
};
