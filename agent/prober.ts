/**
 * Measures every peer on the data path. A silent peer is asked for a round trip every few seconds, one whose packets
 * come anyway seldom, one in doubt every second; the device is looked at for what arrives.
 */
import type { Heard, Probes } from '../mesh/probe.ts';
import { heardFrom, looked, newMeasure, type PeerMeasure, probed, settle } from '../mesh/state.ts';
import type { MeshPlan, PeerPlan } from '../mesh/types.ts';
import type { WgDevice } from '../platform/linux/types.ts';
import { type Due, openDueQueue } from './due.ts';
import { paceOf, SPACING_MS } from './pace.ts';
import { type PingAnswer, type PingQuestion, pingPeers } from './ping.ts';

/** The device is looked at so often, and not more often than every LOOK_MIN_MS, however many questions there are. */
const LOOK_MS = 10_000;

/** Longest sleep, for the looks at the device. */
const MOST_MS = 5_000;

/** Bytes in the tunnel of one probe of ours or of the peer, and what keepalives and handshakes of one look may add. */
const PROBE_BYTES = 96;
const SPARE_BYTES = 600;

/** All of a peer at once: its first answers come with its first handshake. */
const AT_ONCE = 20;

export type Change = {
  readonly peer: PeerPlan;
  readonly before: PeerMeasure;
  readonly after: PeerMeasure;
  /** On the clock of the measures. */
  readonly now: number;
};

export type Prober = {
  /** By node, as of now, and kept up to date. */
  readonly measures: () => ReadonlyMap<string, PeerMeasure>;
  /** The clock of the measures. */
  readonly now: () => number;
  /** Whom to ask from now on. New peers, and those with a new key, are asked at once. */
  readonly follow: (plan: MeshPlan) => void;
  /** A device that was just read. */
  readonly look: (device: WgDevice) => void;
  /** Round trips at a person's word; they change no state. */
  readonly ping: (question: PingQuestion) => Promise<readonly PingAnswer[]>;
  /** One question more, to whomever. */
  readonly ask: Probes['ask'];
  /** Everybody once, now. */
  readonly askAll: () => void;
  readonly stop: () => void;
};

export type ProberOptions = {
  readonly open: (onHeard: Heard) => Probes;
  readonly dump: () => Promise<WgDevice | undefined>;
  /** A peer took another state. */
  readonly onChange: (change: Change) => void;
  readonly now?: () => number;
  readonly wall?: () => number;
};

type Peer = {
  readonly name: string;
  readonly plan: PeerPlan;
  readonly measure: PeerMeasure;
  readonly dueAt: number;
  /** Probes of either side since the last look, to tell them from other traffic. */
  readonly probes: number;
  readonly busy: boolean;
  /** Its last question said nothing: a person's ping, or an agent of an earlier version that knows no other. */
  readonly terse: boolean;
  /** It is asked in that way too, since it did not answer otherwise. */
  readonly plain: boolean;
};

const SAME: Partial<Peer> = {};

export function startProber(options: ProberOptions): Prober {
  const now = options.now ?? (() => performance.now());
  const wall = options.wall ?? Date.now;
  const peers = new Map<string, Peer>();
  const known = new Map<string, PeerMeasure>();
  const queue = openDueQueue();
  const byGateway = new Map<string, string>();
  let planned: MeshPlan | undefined;
  let timer: NodeJS.Timeout | undefined;
  let wakeAt = Number.POSITIVE_INFINITY;
  let askedAt = Number.NEGATIVE_INFINITY;
  let stopped = false;
  let lookedAt = Number.NEGATIVE_INFINITY;

  const keep = (peer: Peer): void => {
    if (peers.get(peer.name)?.dueAt !== peer.dueAt) queue.put(peer.name, peer.dueAt);
    peers.set(peer.name, peer);
    known.set(peer.name, peer.measure);
  };

  const set = (name: string, measure: PeerMeasure, change: Partial<Peer> = SAME): void => {
    const peer = peers.get(name);
    if (peer === undefined || (measure === peer.measure && change === SAME)) return;
    keep({ ...peer, ...change, measure });
    if (measure.state !== peer.measure.state)
      options.onChange({ peer: peer.plan, before: peer.measure, after: measure, now: now() });
  };

  const onHeard: Heard = (from, unansweredMs) => {
    const peer = peers.get(byGateway.get(from) ?? '');
    if (peer === undefined) return;
    const terse = unansweredMs === undefined;
    const change = { probes: peer.probes + 1, terse, plain: terse && peer.plain };
    set(peer.plan.node, heardFrom(peer.measure, unansweredMs, now()), change);
  };
  const probes = options.open(onHeard);

  const ask = async (name: string): Promise<void> => {
    const peer = peers.get(name);
    const gateway = peer?.plan.gateways[0];
    if (peer === undefined || gateway === undefined) return;
    const { measure, busy } = peer;
    // As if it will be answered: what comes of it may bring the next one forward.
    const hoped = measure.lost === 0 ? { ...measure, answers: measure.answers + 1 } : measure;
    const pace = paceOf(hoped, busy, peers.size, now());
    keep({ ...peer, dueAt: now() + pace, probes: peer.probes + 1 });
    const unansweredMs =
      measure.answeredAt === undefined ? Number.POSITIVE_INFINITY : now() - measure.answeredAt;
    const rttMs = await probes.ask(gateway, peer.plain ? {} : { unansweredMs });
    const after = peers.get(name);
    if (after === undefined || stopped) return;
    const next = probed(after.measure, rttMs, now());
    // An answer that was long awaited, and a loss, are both asked after at once.
    const dueAt = Math.min(after.dueAt, now() + paceOf(next, after.busy, peers.size, now()));
    set(name, next, { dueAt, plain: after.terse && (rttMs === undefined) !== peer.plain });
    wake(dueAt);
  };

  const look = (device: WgDevice): void => {
    lookedAt = now();
    const there = new Map(device.peers.map(peer => [peer.publicKey, peer]));
    peers.forEach(({ plan, measure, probes: sent }) => {
      const actual = there.get(plan.publicKey);
      const rxBytes = actual?.rxBytes ?? 0;
      const grown = rxBytes - measure.rxBytes;
      const seen = {
        endpoint: actual?.endpoint,
        handshakeStamp: actual?.latestHandshake ?? 0,
        handshakeAgeMs: actual?.latestHandshake ? wall() - actual.latestHandshake : 0,
        rxBytes,
        txBytes: actual?.txBytes ?? 0,
        candidates: plan.endpoints.length,
      };
      const busy = measure.lookedAt !== undefined && grown > sent * PROBE_BYTES + SPARE_BYTES;
      set(plan.node, looked(measure, seen, now()), { probes: 0, busy });
    });
  };

  const lookIfDue = (): void => {
    if (now() - lookedAt < LOOK_MS || peers.size === 0) return;
    lookedAt = now();
    options.dump().then(
      device => device !== undefined && !stopped && look(device),
      () => {},
    );
  };

  const soonest = (): Due | undefined => {
    let first = queue.first();
    while (first !== undefined && peers.get(first.name)?.dueAt !== first.at) {
      queue.drop();
      first = queue.first();
    }
    return first;
  };

  const tick = (): void => {
    wakeAt = Number.POSITIVE_INFINITY;
    lookIfDue();
    const first = soonest();
    if (first !== undefined && first.at <= now()) {
      queue.drop();
      askedAt = now();
      void ask(first.name);
    }
    wake(Math.min(soonest()?.at ?? Number.POSITIVE_INFINITY, now() + MOST_MS));
  };

  function wake(at: number): void {
    const when = Math.max(at, askedAt + SPACING_MS);
    if (stopped || when >= wakeAt) return;
    clearTimeout(timer);
    wakeAt = when;
    timer = setTimeout(tick, Math.max(0, when - now()));
    timer.unref();
  }

  const add = (plan: PeerPlan): void => {
    const measure = newMeasure(now());
    keep({
      name: plan.node,
      plan,
      measure,
      dueAt: now(),
      probes: 0,
      busy: false,
      terse: false,
      plain: false,
    });
  };

  const follow = (plan: MeshPlan): void => {
    // An address that was not there at the last call may be there now.
    probes.listen(plan.self.gateways);
    if (plan === planned) return;
    planned = plan;
    const wanted = new Map(plan.peers.map(peer => [peer.node, peer]));
    for (const name of peers.keys())
      if (!wanted.has(name)) {
        peers.delete(name);
        known.delete(name);
      }
    byGateway.clear();
    const fresh: string[] = [];
    for (const peer of plan.peers) {
      const before = peers.get(peer.node);
      if (before?.plan.publicKey !== peer.publicKey) fresh.push(peer.node);
      if (before === undefined) add(peer);
      else if (before.plan !== peer) keep({ ...before, plan: peer });
      for (const gateway of peer.gateways) byGateway.set(gateway, peer.node);
    }
    for (const name of fresh.slice(0, AT_ONCE)) void ask(name);
    if (fresh.length > 0) wake(now());
  };

  const askAll = (): void => {
    for (const name of peers.keys()) void ask(name);
  };

  wake(now());
  return {
    measures: () => {
      peers.forEach(({ name, measure }) => {
        set(name, settle(measure, now()));
      });
      return known;
    },
    now,
    follow,
    look,
    ping: async question => (planned === undefined ? [] : pingPeers(probes, planned, question)),
    ask: probes.ask,
    askAll,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      probes.close();
    },
  };
}
