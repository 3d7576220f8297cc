/**
 * One pass of the loop: read the rooms, plan, apply, publish, install. What is only of pods, as after each ADD and DEL,
 * has a look at their wires alone: a pass over a large cluster takes the time of many pods.
 */
import type { CniServer } from '../cni/server.ts';
import type { Config } from '../config.ts';
import { WG_LINK } from '../constants.ts';
import type { Client } from '../discovery/client.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { OwnKey } from '../mesh/apply.ts';
import { givenUp } from '../mesh/heirs.ts';
import { addMended, type Mended } from '../mesh/mended.ts';
import type { MeshRoom, Outcome } from '../mesh/reconcile.ts';
import type { MeshFacts } from '../mesh/types.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { factsOf, ownCandidates, settingsOf, tunnelMtu } from './facts.ts';
import type { Identity } from './identity.ts';
import type { Installation } from './installation.ts';
import { type Lasting, openLasting } from './lasting.ts';
import { leftoverConfigs } from './leftovers.ts';
import type { Log } from './log.ts';
import { openMeasuring } from './measuring.ts';
import type { Paths } from './paths.ts';
import type { Prober } from './prober.ts';
import { reservedPorts } from './reserved.ts';
import { type KeyOrder, openRotation, type Rotation, type RotationStatus } from './rotation.ts';
import { openSaid } from './said.ts';
import type { Sweeping } from './sweeping.ts';
import { type Change, newWhereabouts, type Whereabouts } from './whereabouts.ts';

export type PassDeps = {
  readonly config: Config;
  readonly nodeName: string;
  readonly identity: Identity;
  readonly kernel: Kernel;
  readonly client: Client;
  readonly discovery: Discovery;
  readonly cni: CniServer;
  readonly mesh: MeshRoom;
  readonly prober: Prober;
  readonly paths: Paths;
  readonly installation: Installation;
  readonly sweeping: Sweeping;
  /** A pass shall come. */
  readonly mark: () => void;
  readonly log: Log;
  /** performance.now() at the agent's start. */
  readonly startedAt: number;
};

export type Pass = {
  /** Something has changed that is not only of pods: `rules` in our nftables table. */
  readonly news: (what?: 'rules') => void;
  /** A whole pass is due: after news, a failure, or long enough. Else the look at pods will do. */
  readonly due: () => boolean;
  /** For the runner: milliseconds until the next look, if any is due. Rejects where a step failed. */
  readonly run: () => Promise<number | undefined>;
  /** Pods' wires alone; resolves and rejects likewise. */
  readonly look: () => Promise<number | undefined>;
  readonly report: {
    readonly outcome: () => Outcome | undefined;
    readonly runs: () => number;
    readonly stuckFor: () => number;
    /** What other CNI plugins left in the way of ours, a sentence each. */
    readonly leftovers: () => readonly string[];
    readonly rotation: () => RotationStatus;
    /** What foreign hands undid and we put back, since the start. */
    readonly mended: () => Mended;
  };
  /** Somebody on this node asks for a new key. */
  readonly rotateKey: () => void;
  /** Another room put back what a foreign hand undid. */
  readonly noteMended: (mended: Mended) => void;
};

/** What a user must know, by key. */
const troubles = (outcome: Outcome): ReadonlyMap<string, string> =>
  new Map([
    ...outcome.plan.excluded.map(
      e => [`node ${e.node}`, `Node ${e.node} is not a peer: it ${e.reason}`] as const,
    ),
    ...outcome.plan.warnings.map(w => [`${w.node}: ${w.message}`, `Node ${w.node}: ${w.message}`] as const),
    ...outcome.errors.map(e => [`step ${e.step}`, `${e.step}: ${e.message}`] as const),
  ]);

/** A whole pass comes so often without any news. */
export const MAX_PASS_MS = 30_000;

/** A step that failed is tried again all the while, and at a start wireguard-go may come later than we do. */
const LASTING_MS = 5_000;

/** Of these, what is wrong with this Node itself; the others' own agents speak for them, and discovery for annotations. */
const ownTroubles = (node: string, outcome: Outcome, lasting: Lasting): readonly string[] => [
  ...outcome.plan.excluded.filter(e => e.node === node).map(e => `this Node ${e.reason}`),
  ...lasting(outcome.errors.map(e => `${e.step}: ${e.message}`)),
];

/** An older Node holds our key, as after a cloned disk: ours is the one to change. */
const heldByOlder = (deps: PassDeps, outcome: Outcome): boolean =>
  outcome.plan.excluded.some(e => e.node === deps.nodeName && e.kind === 'key');

function configureCni(deps: PassDeps, outcome: Outcome): boolean {
  const { podCidrs, gateways } = outcome.plan.self;
  const excluded = outcome.plan.excluded.find(e => e.node === deps.nodeName)?.reason;
  if (podCidrs.length === 0) {
    const unknown = 'this Node is not known yet: neither the API server nor the state on disk has it';
    deps.cni.configure({ reason: excluded ? `this Node ${excluded}` : unknown });
    return false;
  }
  const failed = outcome.errors.find(e => ['links', 'addresses', 'fail-closed rules'].includes(e.step));
  if (failed !== undefined) {
    deps.cni.configure({ reason: `${failed.step}: ${failed.message}` });
    return false;
  }
  deps.cni.configure({
    podCidrs,
    gateways,
    mtu: outcome.plan.settings.mtu,
    antiSpoofing: deps.config.antiSpoofing,
    reservedPorts: reservedPorts(deps.config, outcome.device?.listenPort),
  });
  return true;
}

/** How long a Node that has a key but no podCIDR may keep us from publishing ours. */
const PATIENCE_MS = 2_000;

function knowsPeers(deps: PassDeps, synced: boolean, facts: MeshFacts): boolean {
  const whole = facts.nodes.every(node => node.publicKey === undefined || node.podCidrs.length > 0);
  return synced && (whole || performance.now() - deps.startedAt > PATIENCE_MS);
}

/** Peers learn from our next packet where we are, with or without an API server: it goes to all of them at once. */
function tellPeers({ client, prober, log }: PassDeps, { moved, elsewhere }: Change): void {
  if (moved) {
    log.info({}, 'an address of this node is gone: connections and tunnels begin again from another');
    client.reconnect();
  }
  if (elsewhere) prober.askAll();
}

/**
 * A new key goes on the device last of all and then at once on our Node: in between we cannot send. A packet to every
 * peer spends our initiations, one in 5 s, while nobody knows the key: the peers' own meet none of ours.
 */
async function changeKey({ kernel, prober }: PassDeps, outcome: Outcome, next: OwnKey): Promise<Outcome> {
  const { device } = outcome;
  if (device === undefined) return outcome;
  await kernel.wg.set(WG_LINK, [{ kind: 'device', privateKey: next.privateKey }]);
  prober.askAll();
  return { ...outcome, device: { ...device, publicKey: next.publicKey } };
}

async function applyMesh(
  deps: PassDeps,
  whereabouts: Whereabouts,
  { key, change: nextKey, accepted, rotated }: KeyOrder,
  rulesNews: number,
): Promise<Outcome> {
  const { config, kernel, discovery } = deps;
  await deps.cni.quiet();
  const [links, addresses, routes] = await Promise.all([
    kernel.links.list(),
    kernel.addresses.list(),
    kernel.routes.read(),
  ]);
  const change = whereabouts.look(addresses, routes.defaults);
  const mtu = tunnelMtu(config, links, routes.defaults);
  const { synced } = discovery.state();
  const limits = await deps.paths.limits(discovery.facts(), mtu);
  const facts = factsOf(deps.nodeName, key.publicKey, discovery, settingsOf(config, mtu), limits);
  const publication = discovery.publication();
  const read = { facts, key, publication, sweep: synced, addresses, routes: routes.ours, rulesNews };
  let outcome = await deps.mesh.reconcile({ ...read, ...change });
  tellPeers(deps, change);
  for (const gateway of outcome.redirected) void deps.prober.ask(gateway);
  // Only when the device has the key and our peers: whoever learns of us begins at once, and must not find us deaf.
  if (outcome.device?.publicKey === key.publicKey && knowsPeers(deps, synced, facts)) {
    const endpoints = await ownCandidates(config, kernel, discovery, links, addresses);
    const done = rotated !== undefined && { rotated };
    if (nextKey !== undefined) outcome = await changeKey(deps, outcome, nextKey);
    discovery.publish({ publicKey: (nextKey ?? key).publicKey, accepted, endpoints, ...done });
  }
  return outcome;
}

function giveUp({ discovery }: PassDeps, { device }: Outcome): void {
  if (device === undefined) return;
  for (const uid of givenUp(discovery.facts(), device, Date.now())) discovery.letGo(uid);
}

const soonest = (...waits: readonly (number | undefined)[]): number | undefined => {
  const given = waits.filter(ms => ms !== undefined);
  return given.length > 0 ? Math.min(...given) : undefined;
};

const openPassRotation = ({ identity, discovery, kernel, prober, mark, log }: PassDeps): Rotation =>
  openRotation({
    identity,
    discovery,
    device: () => kernel.wg.dump(WG_LINK).catch(() => undefined),
    measures: prober.measures,
    mark,
    log,
  });

export function newPass(deps: PassDeps): Pass {
  const measure = openMeasuring(deps);
  const rotation = openPassRotation(deps);
  const said = openSaid(deps.log);
  const whereabouts = newWhereabouts();
  const lasting = openLasting(LASTING_MS, () => performance.now());
  let outcome: Outcome | undefined;
  let leftovers: readonly string[] = [];
  let mended: Mended = {};
  let runs = 0;
  let began: number | undefined;
  let fresh = true;
  let rulesNews = 0;
  let dueAt = Number.NEGATIVE_INFINITY;
  let wanted = '';

  const noteMended = (now: Mended): void => {
    if (Object.values(now).every(count => count === 0)) return;
    mended = addMended(mended, now);
    deps.log.warn({ mended: now }, 'somebody changed what is weft’s on this node: it is put back');
  };

  const whole = async (): Promise<number | undefined> => {
    const order = await rotation.next();
    outcome = await applyMesh(deps, whereabouts, order, rulesNews);
    leftovers = leftoverConfigs(deps.config.cniConfDir, deps.installation.others().earlier);
    said.say(new Map([...troubles(outcome), ...leftovers.map(text => [text, text] as const)]));
    for (const sentence of [...ownTroubles(deps.nodeName, outcome, lasting), ...leftovers])
      deps.discovery.event('WeftTrouble', sentence);
    noteMended(outcome.mended);
    await measure(outcome);
    deps.paths.follow(outcome.plan);
    giveUp(deps, outcome);
    if (heldByOlder(deps, outcome) && deps.identity.renew('an older Node holds the key of this one'))
      return 0;
    const { made } = deps.identity.key();
    if (made !== undefined) deps.discovery.event('WeftKeyMade', made, 'Normal');
    const able = configureCni(deps, outcome);
    wanted = JSON.stringify([able, outcome.plan.self, outcome.plan.settings.mtu]);
    await deps.sweeping.run(wanted);
    noteMended({ files: deps.installation.ensure(able && outcome.errors.length === 0) });
    if (deps.installation.reason() === undefined) deps.discovery.networkReady();
    if (outcome.changes > 0)
      deps.log.info({ changes: outcome.changes, peers: outcome.plan.peers.length }, 'applied');
    if (outcome.errors.length > 0)
      throw new Error(outcome.errors.map(e => `${e.step}: ${e.message}`).join('; '));
    return soonest(outcome.again, order.again);
  };

  const clocked = async <T>(work: () => Promise<T>): Promise<T> => {
    began = performance.now();
    try {
      return await work();
    } finally {
      began = undefined;
    }
  };
  const run = async (): Promise<number | undefined> => {
    runs += 1;
    // News of while it runs are of the next one.
    fresh = false;
    try {
      const next = await clocked(whole);
      dueAt = performance.now() + Math.min(next ?? MAX_PASS_MS, MAX_PASS_MS);
      return next;
    } catch (error) {
      fresh = true;
      throw error;
    }
  };
  const look = async (): Promise<number | undefined> => {
    await clocked(() => deps.sweeping.run(wanted));
    return Math.max(0, dueAt - performance.now());
  };
  const stuckFor = (): number => (began === undefined ? 0 : performance.now() - began);
  const report = { outcome: () => outcome, runs: () => runs, stuckFor, leftovers: () => leftovers };
  return {
    news: what => {
      fresh = true;
      if (what === 'rules') rulesNews += 1;
    },
    due: () => fresh || performance.now() >= dueAt,
    run,
    look,
    report: { ...report, rotation: rotation.status, mended: () => mended },
    rotateKey: rotation.ask,
    noteMended,
  };
}
