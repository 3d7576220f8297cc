/**
 * Rule set → kernel. Whole by one transaction of text, differences by the smallest transaction that
 * does; what is there already is compared and left alone.
 */
import { createHash } from 'node:crypto';
import { POLICY_TABLE } from '../constants.ts';
import type { TableMemos } from '../platform/linux/table.ts';
import type { ElementChange, Nft } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import type { Bound } from './classes.ts';
import { diff, diffTable, placing } from './diff.ts';
import { type Listing, parseListing, tableFrom } from './listing.ts';
import { renderOperations, renderTable } from './render.ts';
import { tableOf } from './table.ts';
import type { Operation, RuleSet } from './types.ts';
import { toElementChanges } from './wire.ts';

/** Elements that one netlink batch takes; more go as text, which is one transaction at any size. */
const BATCH = 1_500;

/**
 * Ranges that one netlink batch takes out: of a large set the kernel takes a millisecond and more for each, in
 * the sender's own time.
 */
const RANGES = 50;

const rangesOut = (elements: readonly ElementChange[]): number =>
  elements.filter(one => one.op === 'delete' && one.keyEnd !== undefined).length;

const fitsBatch = (elements: readonly ElementChange[]): boolean =>
  elements.length <= BATCH && rangesOut(elements) <= RANGES;

const NAME = `inet ${POLICY_TABLE}`;

export type Applied = {
  /** How it was done, for the log and for tests. */
  readonly how: 'nothing' | 'elements' | 'text' | 'whole' | 'removed';
  readonly operations: number;
};

export type Applier = {
  /** Makes the table that of `rules`, reading it first: at a start, and when others may have touched it. */
  readonly adopt: (rules: RuleSet) => Promise<Applied>;
  /** From one rule set, which is in the kernel, to the next. */
  readonly change: (from: RuleSet, to: RuleSet) => Promise<Applied>;
  /** Addresses that nothing is bound to, to chains that are there. */
  readonly place: (ips: readonly Ip[], bound: Bound) => Promise<Applied>;
  /** Adds what `rules` has and `before` had not, to whatever table there is. */
  readonly hold: (before: RuleSet | undefined, rules: RuleSet) => Promise<Applied>;
  /** No table at all. */
  readonly remove: () => Promise<Applied>;
};

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

const isClass = (name: string): boolean => /^(?:in|eg)-/.test(name);

/** What of a listing no rule set changes: base chains, declarations of the fixed sets. */
const frameOf = ({ chains, sets }: Listing): string =>
  JSON.stringify([
    [...chains].filter(([name]) => !isClass(name)),
    [...sets].filter(([name]) => !isClass(name)).map(([name, { declared }]) => [name, declared]),
  ]);

/** `log`: the kernel remembers what it drops. */
export function openApplier(nft: Nft, memos: TableMemos, log = false): Applier {
  const list = async (): Promise<Listing | undefined> => {
    const text = await nft.list('inet', POLICY_TABLE);
    return text === undefined ? undefined : parseListing(text);
  };

  const apply = async (operations: readonly Operation[]): Promise<Applied> => {
    if (operations.length === 0) return { how: 'nothing', operations: 0 };
    const elements = toElementChanges(operations);
    if (elements !== undefined && fitsBatch(elements)) {
      await nft.elements('inet', POLICY_TABLE, elements);
      return { how: 'elements', operations: operations.length };
    }
    await nft.apply(renderOperations(operations));
    return { how: 'text', operations: operations.length };
  };

  /** Addresses may still be bound as an agent before this one has left them: then the kernel is asked from where they move. */
  const move = async (operations: readonly Operation[], rules: RuleSet): Promise<Applied> => {
    const listing = await list();
    if (listing === undefined) return whole(rules);
    const { maps } = tableFrom(listing, tableOf(rules));
    const moves = operations.map(one =>
      one.kind === 'bind' ? { ...one, from: maps.get(one.map)?.get(one.ip) } : one,
    );
    return apply(moves.filter(one => one.kind !== 'bind' || one.from !== one.to));
  };

  const whole = async (rules: RuleSet): Promise<Applied> => {
    await nft.apply(renderTable(rules, log));
    const listing = await list();
    const memo = { wanted: digest(renderTable(EMPTY, log)), listed: digest(listing ? frameOf(listing) : '') };
    await memos.set(NAME, memo);
    return { how: 'whole', operations: 1 };
  };

  const adopt = async (rules: RuleSet): Promise<Applied> => {
    const listing = await list();
    const memo = memos.get(NAME);
    const framed =
      listing !== undefined &&
      memo?.listed === digest(frameOf(listing)) &&
      memo.wanted === digest(renderTable(EMPTY, log));
    if (!framed) return whole(rules);
    return apply(diffTable(tableFrom(listing, tableOf(rules)), rules)).catch(() => whole(rules));
  };

  return {
    adopt,
    change: (from, to) => apply(diff(from, to)),
    place: (ips, bound) => apply(placing(ips, bound)),
    hold: async (before = EMPTY, rules) => {
      if ((await nft.list('inet', POLICY_TABLE, true)) === undefined) return whole(rules);
      const operations = diff(before, rules);
      return apply(operations).catch(() => move(operations, rules));
    },
    remove: async () => {
      if ((await nft.list('inet', POLICY_TABLE, true)) === undefined)
        return { how: 'nothing', operations: 0 };
      await nft.apply(`delete table inet ${POLICY_TABLE}\n`);
      return { how: 'removed', operations: 1 };
    },
  };
}

/** No pod isolated: the frame alone. */
const EMPTY: RuleSet = { chains: new Map(), ingress: new Map(), egress: new Map(), own: new Set() };
