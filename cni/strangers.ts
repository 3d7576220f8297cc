/** Pods that send with a MAC that is not theirs: said once each, with the cure, and shown in the status. */
import type { Log } from '../agent/log.ts';
import { strangeMacs } from './elements.ts';
import { type Lease, ownerName } from './lease.ts';

/** What such a pod sends is dropped. `mac` is the one that it uses, `own` the one that it was given. */
export type Stranger = {
  readonly pod: string;
  readonly link: string;
  readonly mac: string;
  readonly own: string;
};

export type Strangers = {
  /** `listing`: of the bridge family's table. */
  readonly note: (listing: string, leases: readonly Lease[]) => void;
  readonly all: () => readonly Stranger[];
};

/** What a person can do about it; also in CHECK's error. */
export const MAC_CURE =
  'if a CNI plugin behind weft changes the MAC, have weft give it instead: runtimeConfig.mac, args.cni.mac or CNI_ARGS MAC; docs/cni.md';

export function newStrangers(log: Log): Strangers {
  let known: readonly Stranger[] = [];
  const note: Strangers['note'] = (listing, leases) => {
    const macs = strangeMacs(listing);
    const before = new Set(known.map(({ link }) => link));
    known = leases.flatMap(lease => {
      const mac = macs.get(lease.link);
      // Until CHECK told us, the pod's new MAC was a stranger's too.
      if (mac === undefined || mac === lease.podMac) return [];
      return [{ pod: ownerName(lease), link: lease.link, mac, own: lease.podMac }];
    });
    for (const one of known)
      if (!before.has(one.link))
        log.warn({ ...one }, `a pod sends with a MAC that is not its own, which is dropped; ${MAC_CURE}`);
  };
  return { note, all: () => known };
}
