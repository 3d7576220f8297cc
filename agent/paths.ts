/**
 * Tests each path with packets of full size: at once where a peer is reached in a new way, every ten seconds where it is
 * in use, and seldom where not. A black hole is believed where large packets are lost and small ones beside them are
 * answered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeFact } from '../discovery/types.ts';
import { familyOf, hostOf } from '../ip.ts';
import {
  anew,
  ceiling,
  fallen,
  isDue,
  LEAST_MTU,
  largest,
  limitOf,
  newPath,
  type PathMemory,
  reachedBy,
  risen,
  soon,
  tested,
  underlayLimit,
} from '../mesh/pathmtu.ts';
import type { Probes } from '../mesh/probe.ts';
import type { PeerMeasure } from '../mesh/state.ts';
import type { MeshPlan, PathLimit, PeerPlan } from '../mesh/types.ts';
import type { Kernel } from '../platform/linux/types.ts';
import type { Cidr, Endpoint, Ip, PublicKey } from '../types.ts';
import type { Log } from './log.ts';

export type Paths = {
  /** By public key, for the next plan: what of these nodes' paths is known to be less than the tunnel's MTU. */
  readonly limits: (nodes: readonly NodeFact[], tunnel: number) => Promise<ReadonlyMap<PublicKey, PathLimit>>;
  /** Whom to test from now on. */
  readonly follow: (plan: MeshPlan) => void;
  readonly stop: () => void;
};

export type PathsOptions = {
  readonly kernel: Kernel;
  readonly probes: Pick<Probes, 'ask'>;
  readonly measures: () => ReadonlyMap<string, PeerMeasure>;
  /** Whether a packet of this size gets through whole, whatever the route says. */
  readonly passes: (question: {
    readonly source: Ip;
    readonly target: Ip;
    readonly size: number;
    readonly tries: number;
    readonly ms: number;
  }) => Promise<boolean>;
  /** A limit has changed: plan anew. */
  readonly onChange: () => void;
  readonly log: Log;
  readonly now?: () => number;
};

const TICK_MS = 1_000;
/** Paths tested at the same time. */
const AT_ONCE = 4;

/** Pairs of a large and a small packet before a black hole is believed in. */
const PAIRS = 3;
const PAIR_MS = 250;

/** Of the search. */
const TRIES = 3;
/** A packet is lost after four round trips, within these bounds. */
const LEAST_WAIT_MS = 400;
const MOST_WAIT_MS = 1_000;

/** IP and UDP header. */
const headers = (ip: Ip): number => (familyOf(ip) === 4 ? 28 : 48);

type Wire = { readonly source: Ip; readonly target: Ip; readonly lostMs: number };

const lostAfter = (m: PeerMeasure): number =>
  Math.round(Math.min(Math.max(LEAST_WAIT_MS, (m.rttMs ?? MOST_WAIT_MS) * 4), MOST_WAIT_MS));

export function openPaths(options: PathsOptions): Paths {
  const { kernel, probes, log } = options;
  const now = options.now ?? (() => performance.now());
  const paths = new Map<PublicKey, PathMemory>();
  const busy = new Set<PublicKey>();
  /** Under test when something changed: to be tested once more. */
  const again = new Set<PublicKey>();
  let plan: MeshPlan | undefined;
  let adopted: Promise<ReadonlyMap<Cidr, number>> | undefined;
  let timer: NodeJS.Timeout | undefined;

  /** What an agent before this one had found is in the routes. */
  const adopt = async (): Promise<ReadonlyMap<Cidr, number>> =>
    new Map(
      (await kernel.routes.ours()).flatMap(route =>
        route.kind === 'unicast' && route.mtu !== undefined ? [[route.dst, route.mtu] as const] : [],
      ),
    );

  const tunnel = (): number => plan?.settings.mtu ?? Number.POSITIVE_INFINITY;

  const known = (key: PublicKey): PathMemory => paths.get(key) ?? newPath(now());

  /** Keeps what a test has found, unless its peer has gone meanwhile. */
  const keep = (peer: PeerPlan, path: PathMemory): void => {
    const before = paths.get(peer.publicKey);
    if (before === undefined) return;
    const [was, is] = [limitOf(before, tunnel()), limitOf(path, tunnel())];
    paths.set(peer.publicKey, path);
    if (was?.mtu === is?.mtu) return;
    if (is === undefined)
      log.info({ peer: peer.node }, `the path to ${peer.node} carries full packets again`);
    else
      log.info(
        { peer: peer.node, mtu: is.mtu },
        `packets to ${peer.node} are kept to ${is.mtu} bytes: ${is.why}`,
      );
    options.onChange();
  };

  const underlayOf = async (endpoint: Endpoint | undefined): Promise<number | undefined> => {
    const ip = endpoint && hostOf(endpoint);
    const way = ip && (await kernel.routes.lookup(ip));
    const link = way && (await kernel.links.get(way.link));
    return underlayLimit(tunnel(), link?.mtu, way?.mtu);
  };

  const small = async ({ target, lostMs }: Wire): Promise<boolean> =>
    (await probes.ask(target, { oneWay: true, lostMs })) !== undefined;

  /** As the routes are now; a packet above a route's MTU would be cut by our own kernel. */
  const sized = async ({ target, lostMs }: Wire, size: number): Promise<boolean> =>
    (await probes.ask(target, { oneWay: true, lostMs, size: size - headers(target) })) !== undefined;

  /** Large packets are lost while small ones are answered; `doubtful`: small ones are lost too. */
  const judge = async (wire: Wire, size: number): Promise<'carries' | 'swallows' | 'doubtful'> => {
    if (await sized(wire, size)) return 'carries';
    const pairs = await Promise.all(
      Array.from({ length: PAIRS }, async (_, n) => {
        await sleep(n * PAIR_MS);
        return Promise.all([sized(wire, size), small(wire)]);
      }),
    );
    if (pairs.some(([large]) => large)) return 'carries';
    return pairs.every(([, little]) => little) ? 'swallows' : 'doubtful';
  };

  const search =
    ({ source, target, lostMs }: Wire) =>
    (size: number): Promise<boolean> =>
      options.passes({ source, target, size, tries: TRIES, ms: lostMs });

  /** How large packets may be after what was measured now; undefined: nobody can tell. */
  const measure = async (peer: PeerPlan, before: PathMemory, wire: Wire): Promise<PathMemory | undefined> => {
    const passes = search(wire);
    const most = ceiling(before, tunnel());
    const current = limitOf(before, tunnel())?.mtu ?? most;
    const verdict = await judge(wire, current);
    if (verdict === 'doubtful') return undefined;
    if (verdict === 'carries') {
      if (before.hole === undefined || now() < before.riseAt) return before;
      return (await passes(most))
        ? risen(before)
        : fallen(before, await largest(current, most, passes), now());
    }
    // Not judged: even the least does not pass, or the peer's agent does not know the question.
    if (current <= LEAST_MTU || !(await passes(LEAST_MTU))) return before;
    // What is under way is safe at once, and has more room in a moment.
    keep(peer, fallen(before, LEAST_MTU, now()));
    return fallen(before, await largest(LEAST_MTU, current, passes), now());
  };

  const test = async (peer: PeerPlan, wire: Wire, m: PeerMeasure): Promise<void> => {
    const path = { ...known(peer.publicKey), underlay: await underlayOf(m.endpoint) };
    keep(peer, path);
    const after = await measure(peer, path, wire);
    keep(peer, after === undefined ? soon(path, now()) : tested(after, paths.size, m.txBytes, now()));
  };

  const wireTo = (peer: PeerPlan, m: PeerMeasure): Wire | undefined => {
    const target = peer.gateways[0];
    const source = plan?.self.gateways.find(ip => target !== undefined && familyOf(ip) === familyOf(target));
    return target === undefined || source === undefined
      ? undefined
      : { source, target, lostMs: lostAfter(m) };
  };

  const begin = (peer: PeerPlan, m: PeerMeasure): void => {
    const wire = wireTo(peer, m);
    if (wire === undefined) return;
    const { publicKey } = peer;
    busy.add(publicKey);
    test(peer, wire, m)
      .catch(error => log.debug({ peer: peer.node, error: String(error) }, 'a path could not be tested'))
      .finally(() => {
        busy.delete(publicKey);
        const path = paths.get(publicKey);
        if (path === undefined) return;
        if (again.delete(publicKey)) paths.set(publicKey, anew(path, now()));
        else if (path.testAt <= now()) paths.set(publicKey, soon(path, now()));
      });
  };

  const tick = (): void => {
    const measures = options.measures();
    for (const peer of plan?.peers ?? []) {
      const m = measures.get(peer.node);
      const before = paths.get(peer.publicKey);
      const path = reachedBy(before ?? newPath(now()), m?.endpoint, now());
      if (path !== before && !busy.has(peer.publicKey)) paths.set(peer.publicKey, path);
      const due = m?.state === 'established' && isDue(path, m.txBytes, now()) && m.endpoint !== undefined;
      if (due && !busy.has(peer.publicKey) && busy.size < AT_ONCE) begin(peer, m);
    }
    timer = setTimeout(tick, TICK_MS);
    timer.unref();
  };

  tick();
  return {
    limits: async (nodes, mtu) => {
      adopted ??= adopt();
      // A hint and no more: the mesh goes on without it, and it is read again.
      const before = await adopted.catch(error => {
        adopted = undefined;
        log.warn({ error: String(error) }, 'what an earlier agent knew of paths cannot be read yet');
        return undefined;
      });
      const limits = new Map<PublicKey, PathLimit>();
      for (const { publicKey, podCidrs } of nodes) {
        if (publicKey === undefined || (before === undefined && !paths.has(publicKey))) continue;
        const path =
          paths.get(publicKey) ?? newPath(now(), podCidrs.map(cidr => before?.get(cidr)).find(Boolean));
        paths.set(publicKey, path);
        const limit = limitOf(path, mtu);
        if (limit !== undefined) limits.set(publicKey, limit);
      }
      return limits;
    },
    follow: next => {
      const changed = plan !== undefined && plan.settings.mtu !== next.settings.mtu;
      plan = next;
      const keys = new Set(next.peers.map(peer => peer.publicKey));
      for (const [key, path] of paths)
        if (!keys.has(key)) paths.delete(key);
        else if (changed && busy.has(key)) again.add(key);
        else if (changed) paths.set(key, anew(path, now()));
    },
    stop: () => clearTimeout(timer),
  };
}
