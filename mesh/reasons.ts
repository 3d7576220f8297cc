/** Why a peer is not established, in words that a user can act on. Pure; says only what is known here. */
import { FRESH_MS } from './endpoint.ts';
import type { PeerMeasure } from './state.ts';
import type { PeerPlan } from './types.ts';

/** `40 s`, `7 min`, `3 h`, `2 d`. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} d`;
}

/** Packets this old still count as arriving, and what the peer's agent said this long ago still holds. */
const ARRIVING_MS = 30_000;
const HEARD_MS = 12_000;

/** An agent to which all is well has had an answer since its last regular question. */
const UNANSWERED_MS = 10_000;

/** A handshake with the first of two candidates silent takes no longer. */
const USUAL_MS = 10_000;

const sinceAnswer = (m: PeerMeasure, now: number): string => duration(now - (m.answeredAt ?? m.wellAt));

const noEndpoint = (node: string): string =>
  `${node} publishes no endpoint that can be tried: set weft.network/force-endpoint on it, or let it reach this node`;

/** Its packets arrive here and ours are not answered. */
function oneWay(m: PeerMeasure, { node }: PeerPlan, now: number): string {
  const at = m.endpoint ?? 'it';
  const heard = m.heard !== undefined && now - m.heard.at <= HEARD_MS ? m.heard : undefined;
  if (heard !== undefined && heard.unansweredMs > UNANSWERED_MS) {
    const ms = heard.unansweredMs;
    const long = Number.isFinite(ms) ? `for ${duration(ms)}` : 'at all';
    return `packets of ${node} arrive here, and say that it gets none of this node ${long}: packets from here to ${at} are dropped on the way (a firewall, or a wrong endpoint)`;
  }
  if (heard !== undefined && heard.at > (m.answeredAt ?? 0))
    return `probes of ${node} arrive here, answers to those of this node do not, for ${sinceAnswer(m, now)}`;
  if (m.handshakeAt === undefined || now - m.handshakeAt > FRESH_MS)
    return `${node} calls, but no handshake completes: what this node sends to ${at} does not arrive there (a firewall, or a wrong endpoint)`;
  return `the tunnel to ${node} is up (its last packet came ${duration(now - (m.receivedAt ?? now))} ago), but the agent there has not answered for ${sinceAnswer(m, now)}: is it running? See kubectl -n weft get pods -o wide; pods' traffic goes on without it`;
}

function silent(m: PeerMeasure, peer: PeerPlan, now: number): string {
  const at = m.endpoint ?? peer.endpoints.join(', ');
  const port = at.slice(at.lastIndexOf(':') + 1);
  if (m.handshakeAt === undefined && m.wasEstablished)
    return `no answer from ${at} for ${sinceAnswer(m, now)}, and no handshake with the key that ${peer.node} publishes: is the agent there running, and with that key?`;
  const since = m.receivedAt === undefined ? '' : ` for ${duration(now - m.receivedAt)}`;
  return `no answer from ${at} for ${sinceAnswer(m, now)}, and nothing at all has come from ${peer.node}${since}: is ${peer.node} up, and UDP ${port} open on the way?`;
}

function unmet(m: PeerMeasure, peer: PeerPlan, now: number): string {
  if (m.handshakeAt !== undefined && now - m.handshakeAt <= FRESH_MS)
    return `the tunnel to ${peer.node} has just come up; waiting for the first answer inside it`;
  const tried = peer.endpoints.join(', ') || m.endpoint || '';
  if (now - m.wellAt < USUAL_MS) return `a new peer; trying ${tried}`;
  return `no handshake with ${peer.node} yet, for ${duration(now - m.wellAt)}; tried ${tried}: is the agent there running, and its UDP port open on the way?`;
}

const plain = (m: PeerMeasure, peer: PeerPlan, now: number): string => {
  if (!m.tryable && m.handshakeAt === undefined) return noEndpoint(peer.node);
  const age = m.receivedAt === undefined ? Number.POSITIVE_INFINITY : now - m.receivedAt;
  if (m.lost > 0 && age <= ARRIVING_MS && m.state !== 'retrying') return oneWay(m, peer, now);
  return m.wasEstablished || m.receivedAt !== undefined ? silent(m, peer, now) : unmet(m, peer, now);
};

/** Undefined while it is established. */
export function reasonOf(m: PeerMeasure, peer: PeerPlan, now: number): string | undefined {
  if (m.state === 'established') return undefined;
  const why = plain(m, peer, now);
  return m.state === 'failed' && m.tryable ? `${why} (still trying)` : why;
}
