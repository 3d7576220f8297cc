/** Agents' answers as the dashboard's tests need them: a mesh of any size, and troubles in it. */
import type { Report, ReportedPeer, ReportedStatus } from '../../dashboard/types.ts';

export type Trouble = Partial<Pick<ReportedPeer, 'state' | 'reason'>>;

const peer = (node: string, n: number, trouble: Trouble = {}): ReportedPeer => ({
  node,
  state: 'established',
  endpoint: `203.0.113.${n}:51820`,
  path: 'direct',
  handshakeAgeMs: 40_000,
  answeredAgeMs: 4_000,
  mtu: 1312,
  rttMs: 12.345,
  loss: 0,
  rxBytes: 1536,
  txBytes: 5 * 2 ** 20,
  ...trouble,
});

const status = (peers: readonly ReportedPeer[], n: number): ReportedStatus => ({
  version: '0.1.0',
  ready: true,
  parts: [{ part: 'mesh', ready: true }],
  engine: { kind: 'kernel' },
  mtu: 1420,
  podCidrs: [`10.42.${n}.0/24`],
  endpoints: [],
  peers,
  excluded: [],
  warnings: [],
  pods: [{}, {}],
});

export const nodeName = (n: number): string => `node${String(n).padStart(2, '0')}`;

/** `troubles`: `from→to` of what is wrong, by number. */
export function sample(
  count: number,
  locations: readonly (string | undefined)[],
  troubles: Readonly<Record<string, Trouble>> = {},
): readonly Report[] {
  const numbers = Array.from({ length: count }, (_, n) => n + 1);
  return numbers.map(n => {
    const others = numbers.filter(m => m !== n);
    const peers = others.map(m => peer(nodeName(m), m, troubles[`${n}→${m}`]));
    return {
      node: nodeName(n),
      location: locations[(n - 1) % locations.length],
      status: status(peers, n),
      error: undefined,
    };
  });
}
