/** A status with everything in it, of as many peers as wanted. */
import type { StatusReport } from '../../agent/report.ts';
import type { PeerStatus } from '../../mesh/status.ts';
import type { Scrape } from '../../metrics/samples.ts';

export const peer = (node: string, change: Partial<PeerStatus> = {}): PeerStatus =>
  ({
    node,
    state: 'established',
    stateAgeMs: 60_000,
    path: 'direct',
    endpointSource: 'ext',
    endpointChanges: 1,
    handshakeAgeMs: 61_500,
    answeredAgeMs: 4_250,
    rttMs: 12.5,
    loss: 0.05,
    rxBytes: 1_000,
    txBytes: 2_000,
    ...change,
  }) as PeerStatus;

export const scrape = (peers: readonly PeerStatus[], change: Partial<Scrape> = {}): Scrape => ({
  status: {
    version: '0.1.0',
    parts: [
      { part: 'kernel', ready: true },
      { part: 'cni', ready: false },
    ],
    engine: { kind: 'kernel' },
    mtu: 1420,
    peers,
    probes: { roundMs: 5_000 },
    excluded: [{}],
    warnings: [{}, {}],
    host: { findings: [{ severity: 'warning' }] },
    api: { connected: true, restarts: 3 },
    cni: { pools: [{ cidr: '10.42.1.0/24', used: 7, cooling: 2, free: '244' }] },
    pods: [{}, {}],
    mended: { routes: 2, peers: 1 },
    policy: { enabled: true, policies: 4, isolated: 2, pending: ['10.42.1.9'], cut: 6, error: undefined },
    reconcile: { changes: 40, spawns: 12 },
  } as unknown as StatusReport,
  process: {
    nodeVersion: 'v24.0.0',
    arch: 'x64',
    residentBytes: 50e6,
    cpuSeconds: 1.5,
    startSeconds: 1.7e9,
    loopDelay: { '0.5': 0.001, '0.99': 0.01, '1': 0.02 },
    runningSeconds: 0,
  },
  dropped: { plaintext_dropped: 5, strayed_dropped: 1 },
  denied: { ingress: 11, egress: 12 },
  peerMetrics: 'all',
  ...change,
});
