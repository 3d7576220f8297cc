/** What is in the sets of the bridge family's table, read from nft's text, held against the leases. Pure. */
import { ipToBytes, parseIp } from '../ip.ts';
import { macToBytes } from '../platform/linux/attrs.ts';
import { concatKey, ifnameKey } from '../platform/linux/nfset.ts';
import type { ElementChange } from '../platform/linux/types.ts';
import { podElements, STRANGERS } from './antispoof.ts';
import type { Lease } from './lease.ts';

const SET = /^\tset (\w+) \{/;
const ELEMENT = /"([^"]{1,15})" \. ([0-9a-f]{2}(?::[0-9a-f]{2}){5})(?: \. ([0-9a-f.:]+))?/g;

function keyOf(link: string, mac: string, address: string | undefined): Buffer | undefined {
  const port = [ifnameKey(link), macToBytes(mac)] as const;
  if (address === undefined) return concatKey(...port);
  const ip = parseIp(address);
  return ip.ok ? concatKey(...port, ipToBytes(ip.value)) : undefined;
}

/** An element as the change that deletes it, and the link that it is about. */
export type ListedElement = ElementChange & { readonly link: string };

type Found = {
  readonly set: string;
  readonly link: string;
  readonly mac: string;
  readonly address: string | undefined;
};

function found(listing: string): readonly Found[] {
  let set = '';
  return listing.split('\n').flatMap(line => {
    set = SET.exec(line)?.[1] ?? (line === '\t}' ? '' : set);
    if (set === '') return [];
    return [...line.matchAll(ELEMENT)].map(([, link = '', mac = '', address]) => ({
      set,
      link,
      mac,
      address,
    }));
  });
}

export const listedElements = (listing: string): readonly ListedElement[] =>
  found(listing)
    .filter(({ set }) => set !== STRANGERS)
    .flatMap(({ set, link, mac, address }): ListedElement[] => {
      const key = keyOf(link, mac, address);
      return key === undefined ? [] : [{ op: 'delete', set, key, link }];
    });

/** Links whose pods have lately sent with a MAC that is not theirs, each with the first such MAC. */
export const strangeMacs = (listing: string): ReadonlyMap<string, string> =>
  new Map(
    found(listing)
      .filter(({ set }) => set === STRANGERS)
      .map(({ link, mac }) => [link, mac] as const)
      .reverse(),
  );

/** The listing as `nft -t` would print it. */
export const withoutElements = (listing: string): string =>
  listing.replace(/\n\t\telements = \{[^}]*\}/g, '');

const name = ({ set, key }: ElementChange): string => `${set} ${key.toString('hex')}`;

/** Elements that leases need and the listing lacks. */
export function missingElements(listing: string, leases: readonly Lease[]): readonly ElementChange[] {
  const there = new Set(listedElements(listing).map(name));
  return leases.flatMap(lease => podElements(lease, 'add')).filter(change => !there.has(name(change)));
}

/** Elements that the listing has and no lease needs. */
export function strayElements(listing: string, leases: readonly Lease[]): readonly ListedElement[] {
  const wanted = new Set(leases.flatMap(lease => podElements(lease, 'add')).map(name));
  return listedElements(listing).filter(change => !wanted.has(name(change)));
}
