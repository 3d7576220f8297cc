/**
 * What every implementation of `Kernel` must do, the fake and the real one alike: each case names
 * a rule that some caller relies on. All links but `lo` are the contract's; run it in a namespace.
 */
import { beforeEach, describe } from 'node:test';
import { addressCases } from './kernel.addresses.ts';
import { clean, type Subject } from './kernel.helpers.ts';
import { linkCases } from './kernel.links.ts';
import { neighbourCases } from './kernel.neighbours.ts';
import { nftCases } from './kernel.nft.ts';
import { routeCases } from './kernel.routes.ts';
import { sysctlCases } from './kernel.sysctls.ts';
import { watchCases } from './kernel.watch.ts';
import { wgCases } from './kernel.wg.ts';

/** Registers the cases. `open` is called once; the namespace is emptied before each case. */
export function kernelContract(name: string, open: () => Subject): void {
  describe(`kernel contract: ${name}`, () => {
    const subject = open();
    beforeEach(() => clean(subject.kernel));
    for (const cases of [
      linkCases,
      addressCases,
      routeCases,
      neighbourCases,
      sysctlCases,
      wgCases,
      nftCases,
      watchCases,
    ])
      cases(subject);
  });
}
