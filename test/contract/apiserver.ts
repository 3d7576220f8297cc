/**
 * What weft relies on in a Kubernetes API server, as one suite that any server can be held to.
 * The real kube-apiserver is right by definition; the embedded one must pass the same cases.
 */
import { after, before, describe, test as nodeTest } from 'node:test';
import { answerCases } from './apiserver.answers.ts';
import { type Bed, bedOf, type Server } from './apiserver.bed.ts';
import { createCases } from './apiserver.creates.ts';
import { eventCases } from './apiserver.events.ts';
import { listCases } from './apiserver.lists.ts';
import { pageCases } from './apiserver.pages.ts';
import { patchCases } from './apiserver.patches.ts';
import { selectorCases } from './apiserver.selectors.ts';
import { watchCases } from './apiserver.watches.ts';
import { newWorld, type World } from './apiserver.world.ts';
import { writeCases } from './apiserver.writes.ts';

/** A group of cases; each case gets a world of its own on the one server. */
export type Cases = (test: (name: string, run: (w: World) => Promise<void>) => void) => void;

const GROUPS: Readonly<Record<string, Cases>> = {
  answers: answerCases,
  lists: listCases,
  pages: pageCases,
  selectors: selectorCases,
  watches: watchCases,
  creates: createCases,
  patches: patchCases,
  writes: writeCases,
  events: eventCases,
};

/** Registers the suite. `open` is called once, before the first case. */
export function apiServerContract(name: string, open: () => Promise<Server>): void {
  describe(name, () => {
    let bed: Bed;
    before(async () => {
      bed = bedOf(await open());
    });
    after(() => bed?.close());
    for (const [group, cases] of Object.entries(GROUPS))
      describe(group, () => cases((title, run) => void nodeTest(title, t => run(newWorld(bed, t)))));
  });
}
