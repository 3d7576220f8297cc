/** Where this node is: which of its addresses have gone since the last look. */
import { BRIDGE, VETH_PREFIX, WG_LINK } from '../constants.ts';
import type { Address } from '../platform/linux/types.ts';

export type Whereabouts = {
  /** True where an address outside the pod network was there at the last call and is not now. */
  readonly moved: (addresses: readonly Address[]) => boolean;
};

const outer = ({ link, address }: Address): boolean =>
  link !== BRIDGE && link !== WG_LINK && !link.startsWith(VETH_PREFIX) && !address.startsWith('fe80:');

export function newWhereabouts(): Whereabouts {
  let before: ReadonlySet<string> = new Set();
  const moved = (addresses: readonly Address[]): boolean => {
    const now = new Set(addresses.filter(outer).map(a => `${a.link} ${a.address}`));
    const gone = [...before].some(address => !now.has(address));
    before = now;
    return gone;
  };
  return { moved };
}
