/** Where this node is: its addresses and its ways out, against the last look. */
import { isInner } from '../discovery/candidates.ts';
import type { Address, Route } from '../platform/linux/types.ts';

/**
 * `moved`: an address outside the pod network is gone, and with it connections that came from it.
 * `elsewhere`: packets may leave from another address than at the last call.
 */
export type Change = { readonly moved: boolean; readonly elsewhere: boolean };

export type Whereabouts = {
  /** `defaults`: the default routes. The first call finds nothing changed. */
  readonly look: (addresses: readonly Address[], defaults: readonly Route[]) => Change;
};

const outer = ({ link, address }: Address): boolean => !isInner(link) && !address.startsWith('fe80:');

const missing = (some: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  [...some].some(one => !others.has(one));

export function newWhereabouts(): Whereabouts {
  let before: { readonly places: ReadonlySet<string>; readonly ways: ReadonlySet<string> } | undefined;
  const look = (addresses: readonly Address[], defaults: readonly Route[]): Change => {
    const places = new Set(addresses.filter(outer).map(a => `${a.link} ${a.address}`));
    const ways = new Set(defaults.map(r => `${r.dst} ${r.link} ${r.via} ${r.src} ${r.metric ?? 0}`));
    const last = before ?? { places, ways };
    before = { places, ways };
    const moved = missing(last.places, places);
    const turned = missing(last.ways, ways) || missing(ways, last.ways);
    return { moved, elsewhere: moved || turned || missing(places, last.places) };
  };
  return { look };
}
