/**
 * The mesh's one reconciler: facts → plan → kernel, in a fixed order. A step that fails is
 * said and tried again; the others go on. Nothing is removed before the first complete list.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { WG_LINK } from '../constants.ts';
import type { NodeFact } from '../discovery/types.ts';
import { type Engine, ensureWireguard } from '../platform/linux/engine.ts';
import type { TableMemos } from '../platform/linux/table.ts';
import type { Address, Kernel, Route, WgDevice } from '../platform/linux/types.ts';
import type { Endpoint, Ip, PublicKey } from '../types.ts';
import {
  applyAddresses,
  applyLinks,
  applyPeers,
  applyRoutes,
  applyRules,
  applySysctls,
  type OwnKey,
  sweepRoutes,
} from './apply.ts';
import { deadEnds } from './deadends.ts';
import { deferringTo } from './heirs.ts';
import { addMended, type Mended, type MendedKind, sameFacts, undonePeers } from './mended.ts';
import { meshTable } from './nft.ts';
import { occupiedBy } from './occupied.ts';
import { plan as makePlan } from './plan.ts';
import { type MeshMemory, nextRound, type Publication, remembering } from './rounds.ts';
import { openRouteTable } from './routetable.ts';
import type { MeshFacts, MeshPlan } from './types.ts';

export type StepError = { readonly step: string; readonly message: string };

export type Outcome = {
  readonly plan: MeshPlan;
  readonly engine: Engine;
  /** As it was found, but with the key that it has now. Absent while no engine answers. */
  readonly device: WgDevice | undefined;
  readonly changes: number;
  readonly errors: readonly StepError[];
  /** What foreign hands had undone. */
  readonly mended: Mended;
  /** Gateways of peers with a session that have been given another endpoint: only an answer tells whether they are there. */
  readonly redirected: readonly Ip[];
  /** When the next look is due, in milliseconds; undefined: only when something changes. */
  readonly again: number | undefined;
};

export type MeshInput = {
  readonly facts: MeshFacts;
  readonly key: OwnKey;
  readonly publication: Publication;
  /** The Nodes are those of a complete list: what is not among them may go. */
  readonly sweep: boolean;
  /** An address of this node is gone: engines that sent from it must choose another. */
  readonly moved?: boolean;
  /** Addresses or ways out of this node have changed: some endpoints may be out of its reach. */
  readonly elsewhere?: boolean;
  /** Of all links, as just read. */
  readonly addresses?: readonly Address[];
  /** How often the kernel has told so far that somebody's hand was in our nftables table; absent: nobody counts. */
  readonly rulesNews?: number;
  /** Our routes as just read. */
  readonly routes?: readonly Route[];
};

export type MeshRoom = { readonly reconcile: (input: MeshInput) => Promise<Outcome> };

export type MeshDeps = {
  readonly kernel: Kernel;
  readonly memos: TableMemos;
  readonly now: () => number;
  /** As an agent before this one knew them. */
  readonly remembered?: readonly NodeFact[];
};

/** Runs steps one after the other, counts their changes by kind and collects their errors. */
function stepper(changed: () => void) {
  const errors: StepError[] = [];
  let changes = 0;
  let made: Mended = {};
  const step = async (name: string, work: () => Promise<number>, kind?: MendedKind): Promise<void> => {
    // Whoever waits for the event loop, pods above all, comes in between.
    await turn();
    try {
      const count = await work();
      changes += count;
      if (count > 0) changed();
      if (kind !== undefined) made = addMended(made, { [kind]: count });
    } catch (error) {
      changed();
      errors.push({ step: name, message: error instanceof Error ? error.message : String(error) });
    }
  };
  return { step, errors, changes: () => changes, made: () => made };
}

/** Each peer's endpoint once more, as it is: setting it makes the engine forget the address that it sent from. */
const withCurrent = (
  device: WgDevice,
  chosen: ReadonlyMap<PublicKey, Endpoint>,
): ReadonlyMap<PublicKey, Endpoint> =>
  new Map([
    ...device.peers.flatMap(p => (p.endpoint === undefined ? [] : [[p.publicKey, p.endpoint] as const])),
    ...chosen,
  ]);

/** A node that is known has another key. */
const hasHeirs = (plan: MeshPlan, { peers }: MeshMemory): boolean => {
  const nodes = new Set([...peers.values()].map(peer => peer.node));
  return plan.peers.some(peer => !peers.has(peer.publicKey) && nodes.has(peer.node));
};

const redirectedBy = (
  plan: MeshPlan,
  device: WgDevice,
  endpoints: ReadonlyMap<PublicKey, Endpoint>,
): readonly Ip[] => {
  if (endpoints.size === 0) return [];
  const met = new Set(device.peers.filter(peer => peer.latestHandshake > 0).map(peer => peer.publicKey));
  return plan.peers
    .filter(({ publicKey }) => endpoints.has(publicKey) && met.has(publicKey))
    .flatMap(({ gateways }) => gateways.slice(0, 1));
};

/** Nothing is done, and nothing said to others: they go on without this node. */
const waiting = (plan: MeshPlan, reason: string): Outcome => ({
  plan: {
    ...plan,
    self: { ...plan.self, podCidrs: [], gateways: [] },
    peers: [],
    excluded: [...plan.excluded, { node: plan.self.name, kind: 'occupied', reason }],
  },
  engine: { kind: 'none', reason: 'weft waits for the end of the other pod network' },
  device: undefined,
  changes: 0,
  errors: [],
  mended: {},
  redirected: [],
  again: undefined,
});

/** News may be lost, so the table is read so often without any. */
const RULES_LOOK_MS = 30_000;

/** The room with its memory of peers. `reconcile` must not be called again before it has resolved. */
export function openMesh({ kernel, memos, now, remembered = [] }: MeshDeps): MeshRoom {
  const table = openRouteTable(kernel);
  let memory: MeshMemory = remembering(remembered);
  let first = true;
  /** Once ours is at work it stays, whatever others do beside it. */
  let begun = false;
  let planned: { readonly facts: MeshFacts; readonly plan: MeshPlan } | undefined;
  /** Of the last pass, where all its steps succeeded. */
  let settled: MeshPlan | undefined;
  /** The table as the kernel has it, when that was seen, and after how much news. */
  let rules: { readonly text: string; readonly at: number; readonly news: number | undefined } | undefined;
  /** News of a move, kept until the peers have been set after it. */
  let [gone, away] = [false, false];

  /** The same facts give the same plan, by which others know that nothing is new. */
  const planOf = (facts: MeshFacts): MeshPlan => {
    if (planned === undefined || !sameFacts(facts, planned.facts)) planned = { facts, plan: makePlan(facts) };
    return planned.plan;
  };

  const reconcile = async (input: MeshInput): Promise<Outcome> => {
    const { facts, key, publication, sweep } = input;
    gone ||= input.moved ?? false;
    away ||= input.elsewhere ?? false;
    const plan = planOf(facts);
    const occupied = begun ? undefined : occupiedBy(plan, input.addresses ?? []);
    if (occupied !== undefined) return waiting(plan, occupied);
    begun ||= plan.self.podCidrs.length > 0;
    table.is(input.routes);
    const { step, errors, changes, made } = stepper(() => table.is(undefined));
    const steady = !gone && plan === settled;
    let undone = 0;
    let lost = 0;
    let engine: Engine = { kind: 'none', reason: 'not tried yet' };
    let device: WgDevice | undefined;
    let again: number | undefined;
    let redirected: readonly Ip[] = [];

    const applyAllPeers = async (): Promise<number> => {
      device = await kernel.wg.dump(WG_LINK);
      if (device === undefined) return 0;
      // Each of these takes milliseconds where there are a thousand peers.
      await turn();
      const peers = sweep ? plan : deferringTo(device, plan, now());
      if (lost === 0) undone = undonePeers(peers, device, memory);
      await turn();
      const dead = away ? await deadEnds(kernel, peers, device) : undefined;
      const round = nextRound(peers, key.publicKey, device, memory, publication, first, now(), dead);
      await turn();
      const endpoints = gone ? withCurrent(device, round.endpoints) : round.endpoints;
      const applied = await applyPeers(kernel, peers, key, device, { ...round, endpoints }, sweep);
      [gone, away] = [false, false];
      redirected = redirectedBy(peers, device, round.endpoints);
      device = { ...device, publicKey: key.publicKey };
      memory = round.memory;
      again = round.again;
      return applied;
    };

    /** Reading the table takes a program, and passes follow one another while others move. */
    const applyTable = async (): Promise<number> => {
      const text = meshTable(plan);
      const { rulesNews: news } = input;
      const fresh = rules !== undefined && Math.abs(now() - rules.at) < RULES_LOOK_MS;
      if (fresh && news !== undefined && news === rules?.news && text === rules.text) return 0;
      rules = undefined;
      const changed = await applyRules(kernel, text, memos);
      rules = { text, at: now(), news };
      return changed;
    };

    // A node with a new key waits for us, and cannot send meanwhile.
    if (!first && hasHeirs(plan, memory)) await step('peers', applyAllPeers);
    await step('fail-closed rules', applyTable, 'rules');
    await step('unreachable routes', () => applyRoutes(kernel, table, plan, 'unreachable'), 'routes');
    await step('wireguard', async () => {
      lost = Number((await kernel.links.get(WG_LINK)) === undefined);
      engine = await ensureWireguard(kernel, WG_LINK, { mtu: plan.settings.mtu });
      if (lost > 0) table.is(undefined);
      if (engine.kind === 'none') throw new Error(engine.reason);
      return 0;
    });
    await step('links', () => applyLinks(kernel, plan), 'links');
    await step('addresses', () => applyAddresses(kernel, plan), 'addresses');
    await step('sysctls', () => applySysctls(kernel, plan), 'sysctls');
    if (device === undefined) await step('peers', applyAllPeers);
    await step('tunnel routes', () => applyRoutes(kernel, table, plan, 'unicast'), 'routes');
    if (sweep) await step('old routes', () => sweepRoutes(kernel, table, plan), 'routes');
    first = false;
    settled = errors.length === 0 ? plan : undefined;
    const mended = steady ? addMended(made(), { tunnel: lost, peers: undone }) : {};
    return { plan, engine, device, changes: changes(), errors, mended, redirected, again };
  };
  return { reconcile };
}
