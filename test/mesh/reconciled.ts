/** The mesh's reconciler on a kernel in memory, passes and restarts as the agent makes them. */
import assert from 'node:assert/strict';
import { WG_LINK } from '../../constants.ts';
import type { NodeFact } from '../../discovery/types.ts';
import { type MeshInput, type MeshRoom, type Outcome, openMesh } from '../../mesh/reconcile.ts';
import { type FakeKernel, type FakeOptions, openFake } from '../../platform/linux/fake.ts';
import type { TableMemo, TableMemos } from '../../platform/linux/table.ts';
import type { Kernel } from '../../platform/linux/types.ts';
import type { PublicKey } from '../../types.ts';
import { facts, key, node } from './facts.ts';

/** 32 bytes of 7, and their public key by `wg pubkey`. */
const OWN = {
  privateKey: key(7) as string,
  publicKey: 'E75P6uryBMf9M1j8nAByGIHRdCeBKCJ+xnTzf3/pe20=' as PublicKey,
};

/** Larger than our key, so that the first word is ours. */
export const peerKey = (n: number): PublicKey => key(100 + n);
export const other = (n: number): NodeFact => node(n, { publicKey: peerKey(n) });
export const THREE = [node(1), other(2), other(3)];

const READS = ['nft -s list table inet weft', `wg show ${WG_LINK} dump`];

function newMemos(): TableMemos {
  const memos = new Map<string, TableMemo>();
  return { get: table => memos.get(table), set: async (table, memo) => void memos.set(table, memo) };
}

export type Bed = {
  readonly kernel: FakeKernel;
  /** One reconcile, by way of `through` where given; `news` of where this node is. */
  readonly pass: (
    nodes?: readonly NodeFact[],
    sweep?: boolean,
    through?: Kernel,
    news?: Pick<MeshInput, 'moved' | 'elsewhere' | 'addresses' | 'rulesNews'>,
  ) => Promise<Outcome>;
  /** The agent ends and starts again; what is on disk stays. */
  readonly restart: () => void;
  readonly advance: (ms: number) => void;
  readonly now: () => number;
};

export function newBed(options: FakeOptions = {}): Bed {
  const kernel = openFake(options);
  const memos = newMemos();
  let now = 1_000_000;
  let current: Kernel = kernel;
  /** What the room speaks to can be exchanged between passes. */
  const switching = new Proxy({} as Kernel, { get: (_, verb: keyof Kernel) => current[verb] });
  const open = (): MeshRoom => openMesh({ kernel: switching, memos, now: () => now });
  let room = open();
  return {
    kernel,
    pass: (nodes = THREE, sweep = true, through = kernel, news = {}) => {
      current = through;
      return room.reconcile({
        facts: facts(nodes, { self: { name: 'node1', publicKey: OWN.publicKey } }),
        key: OWN,
        publication: { before: true, at: 0 },
        sweep,
        ...news,
      });
    },
    restart: () => {
      room = open();
    },
    advance: ms => {
      now += ms;
    },
    now: () => now,
  };
}

/** A pass that must not change anything nor run more than the two reads. */
export async function idle(bed: Bed, nodes = THREE): Promise<void> {
  const before = { counts: bed.kernel.counts(), printed: bed.kernel.print() };
  const ran = bed.kernel.spawned().length;
  const outcome = await bed.pass(nodes);
  assert.deepEqual(outcome.errors, []);
  assert.equal(outcome.changes, 0);
  assert.equal(bed.kernel.counts().changes, before.counts.changes);
  assert.deepEqual(bed.kernel.spawned().slice(ran), READS);
  assert.equal(bed.kernel.print(), before.printed);
}
