/** A mesh of three nodes as its agents tell of it, two of them cut off from each other one way. */
import type { Agents } from '../../command/agents.ts';
import { runCommand } from '../../command/run.ts';
import type { Io } from '../../command/types.ts';

type Fields = Readonly<Record<string, unknown>>;

const peer = (n: number, change: Fields = {}): Fields => ({
  node: `node${n}`,
  publicKey: `key${n}`,
  state: 'established',
  stateAgeMs: 3_600_000,
  endpoint: `203.0.113.${n}:51820`,
  endpointSource: 'ext',
  endpointChanges: 0,
  candidates: [`203.0.113.${n}:51820`],
  path: 'direct',
  podCidrs: [`10.42.${n}.0/24`],
  mtu: 1420,
  handshakeAgeMs: 61_000,
  receivedAgeMs: 900,
  answeredAgeMs: 900,
  rttMs: 12.25,
  loss: 0,
  rxBytes: 5_300_000,
  txBytes: 812,
  ...change,
});

const report = (n: number, peers: readonly Fields[], change: Fields = {}): Fields => ({
  version: '0.1.0',
  node: `node${n}`,
  ready: true,
  parts: [{ part: 'kernel', ready: true }],
  engine: { kind: 'kernel' },
  publicKey: `key${n}`,
  listenPort: 51820,
  mtu: 1420,
  podCidrs: [`10.42.${n}.0/24`],
  gateways: [`10.42.${n}.1`],
  clusterCidrs: ['10.42.0.0/16'],
  endpoints: [{ t: 'ext', a: `203.0.113.${n}:51820` }],
  peers,
  probes: { roundMs: 5_000 },
  excluded: [],
  warnings: [],
  host: { findings: [], looks: 1 },
  api: { synced: true, connected: true, restarts: 0 },
  policy: { enabled: true, known: true, policies: 2, isolated: 1, pending: [] },
  cni: {
    pools: [
      { cidr: `10.42.${n}.0/24`, family: 4, size: '253', used: 7 * n, cooling: 1, free: String(252 - 7 * n) },
      { cidr: `fd42:0:0:${n}::/64`, family: 6, size: '18446744073709551613', used: 7, cooling: 0, free: '1' },
    ],
  },
  pods: [{ link: 'wvabc', ips: [`10.42.${n}.7`], pod: { namespace: 'default', name: `web-${n}` } }],
  ...change,
});

const cut = { rttMs: undefined, answeredAgeMs: 52_000, loss: 1, stateAgeMs: 40_000 };

export const REPORTS: Readonly<Record<string, Fields>> = {
  node1: report(1, [
    peer(2),
    peer(3, {
      ...cut,
      state: 'pending',
      receivedAgeMs: 900,
      reason: 'packets of node3 arrive here, and say that it gets none of this node',
    }),
  ]),
  node2: report(2, [peer(1), peer(3)], {
    engine: { kind: 'wireguard-go' },
    mtu: 1370,
    host: {
      findings: [{ id: 'x', severity: 'warning', what: 'Links of flannel are here', cure: 'remove them' }],
    },
    warnings: [{ node: 'node1', message: 'annotation weft.network/relay="x" is ignored: say true or false' }],
  }),
  node3: report(3, [
    peer(1, {
      ...cut,
      state: 'retrying',
      receivedAgeMs: 45_000,
      reason: 'no answer from 203.0.113.1:51820 for 52 s',
    }),
    peer(2, { endpointSource: 'learnt', mtu: 1312, mtuLimit: 'black hole' }),
  ]),
};

const PINGS: Readonly<Record<string, readonly Fields[]>> = {
  node1: [
    { to: 'node2', address: '10.42.2.1', bytes: 64, sent: 3, rttMs: [1, 2, 3] },
    { to: 'node3', address: '10.42.3.1', bytes: 64, sent: 3, rttMs: [] },
  ],
  node2: [{ to: 'node1', address: '10.42.1.1', bytes: 64, sent: 3, rttMs: [1, 2] }],
  node3: [],
};

const OK = { id: 'mtu', grade: 'ok', what: 'paths take whole packets' };
const CHECKS: Readonly<Record<string, readonly Fields[]>> = {
  node1: [{ id: 'forwarding', grade: 'error', what: 'net.ipv4.ip_forward is not 1', cure: 'set it' }, OK],
  node2: [{ id: 'cluster CIDRs', grade: 'warning', what: 'clusterCidrs is empty', cure: 'set it' }, OK],
  node3: [{ id: 'cluster CIDRs', grade: 'warning', what: 'clusterCidrs is empty', cure: 'set it' }, OK],
};

/** Of node3 the clock is wrong. */
const diagnosis = (node: string): Fields => ({
  node,
  now: Date.now() - (node === 'node3' ? 600_000 : 0),
  checks: CHECKS[node],
});

/** node4's pod does not run. */
export const agents = (kind: 'local' | 'remote' = 'remote', paths: string[] = []): Agents => ({
  kind,
  list: async () =>
    kind === 'local'
      ? [{ node: 'node1', pod: undefined, absent: undefined }]
      : [
          ...Object.keys(REPORTS).map(node => ({ node, pod: `weft-${node}`, absent: undefined })),
          { node: 'node4', pod: 'weft-node4', absent: 'its pod weft-node4 is not running (ErrImagePull)' },
        ],
  get: async (node, path) => {
    paths.push(`${node} ${path}`);
    if (path === '/readyz') return 'ok: kernel\n';
    if (path === '/doctor') return diagnosis(node);
    if (path.startsWith('/policy?')) return { allowed: true, words: ['no policy speaks of it'] };
    return path.startsWith('/ping') ? PINGS[node] : JSON.parse(JSON.stringify(REPORTS[node]));
  },
  close: () => {},
});

export type Said = { readonly code: number; readonly out: string; readonly err: string };

/** Runs a command line and catches what it says. */
export async function said(argv: readonly string[], more: Partial<Io> = {}): Promise<Said> {
  let [out, err] = ['', ''];
  const io: Io = {
    out: text => {
      out += text;
    },
    err: text => {
      err += text;
    },
    color: false,
    width: undefined,
    env: {},
    name: 'weft',
    agents: async () => {
      throw new Error('there is nobody');
    },
    client: async () => {
      throw new Error('there is no API server');
    },
    bare: async () => {
      throw new Error('there is no machine');
    },
    ...more,
  };
  const code = await runCommand(argv, io);
  return { code, out, err };
}
