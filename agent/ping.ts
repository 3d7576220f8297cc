/** Pings to peers over the data path, at a person's word. */
import { familyOf } from '../ip.ts';
import type { Probes } from '../mesh/probe.ts';
import type { MeshPlan, PeerPlan } from '../mesh/types.ts';
import type { Ip, Result } from '../types.ts';

export type PingQuestion = {
  /** Undefined: every peer. */
  readonly node: string | undefined;
  /** Bytes of the IP packet inside the tunnel; full: as many as its MTU allows. */
  readonly size: number | 'full';
  readonly count: number;
};

export type PingAnswer = {
  readonly to: string;
  readonly address: Ip;
  /** Bytes of the IP packet, both ways. */
  readonly bytes: number;
  readonly sent: number;
  /** Round trips of those that were answered, in milliseconds. */
  readonly rttMs: readonly number[];
};

const MAX_COUNT = 20;
const MAX_BYTES = 65_000;

/** IP and UDP headers of a probe. */
const headers = (ip: Ip): number => (familyOf(ip) === 4 ? 28 : 48);

const within = (text: string | null, fallback: number, most: number): number | undefined => {
  const n = text === null ? fallback : Number(text);
  return Number.isInteger(n) && n >= 1 && n <= most ? n : undefined;
};

export function parsePing(query: URLSearchParams): Result<PingQuestion> {
  const count = within(query.get('count'), 3, MAX_COUNT);
  if (count === undefined) return { ok: false, error: `count must be 1 to ${MAX_COUNT}` };
  const full = query.get('size') === 'full';
  const size = full ? 'full' : within(query.get('size'), 64, MAX_BYTES);
  if (size === undefined) return { ok: false, error: `size must be full, or 1 to ${MAX_BYTES} bytes` };
  return { ok: true, value: { node: query.get('node') ?? undefined, size, count } };
}

async function pingOne(
  probes: Probes,
  to: string,
  address: Ip,
  bytes: number,
  count: number,
): Promise<PingAnswer> {
  const rttMs: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const rtt = await probes.ask(address, { size: bytes - headers(address) });
    if (rtt !== undefined) rttMs.push(Math.round(rtt * 1_000) / 1_000);
  }
  return { to, address, bytes, sent: count, rttMs };
}

/** So many peers at once. */
const AT_ONCE = 16;

/** Every address of the peers that are asked for, one answer each, in the plan's order. */
export async function pingPeers(
  probes: Probes,
  plan: MeshPlan,
  question: PingQuestion,
): Promise<readonly PingAnswer[]> {
  const wanted = plan.peers.filter(peer => question.node === undefined || peer.node === question.node);
  const bytesOf = (ip: Ip): number =>
    Math.max(question.size === 'full' ? plan.settings.mtu : question.size, headers(ip) + 15);
  const answers: PingAnswer[] = [];
  const ask = (peer: PeerPlan): Promise<readonly PingAnswer[]> =>
    Promise.all(peer.gateways.map(ip => pingOne(probes, peer.node, ip, bytesOf(ip), question.count)));
  for (let i = 0; i < wanted.length; i += AT_ONCE)
    answers.push(...(await Promise.all(wanted.slice(i, i + AT_ONCE).map(ask))).flat());
  return answers;
}
