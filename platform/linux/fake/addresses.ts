/** Addresses of the fake; with the last that a route's source needs, the route goes too. */
import { familyOf, parseIp } from '../../../ip.ts';
import { LinuxError } from '../errors.ts';
import type { Address, Addresses } from '../types.ts';
import { drop, holds, ipOf, linkOf, refuse, type State, tell } from './state.ts';

const WIDTH = { 4: 32, 6: 128 } as const;

function canonical({ link, address }: Address): Address {
  const [, text = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(address) ?? [];
  const ip = parseIp(text);
  if (!ip.ok || Number(length) > WIDTH[familyOf(ip.value)])
    throw new LinuxError('EINVAL', `${JSON.stringify(address)} is no address with a prefix length`);
  return { link, address: `${ip.value}/${Number(length)}` };
}

const same = (a: Address, b: Address): boolean => a.link === b.link && a.address === b.address;

const isV4 = (address: string): boolean => familyOf(ipOf(address)) === 4;

/** IPv4 forgets such routes, IPv6 only their source; a link's last IPv4 address takes all of its IPv4 routes. */
function forgetSource(state: State, { link, address }: Address): void {
  const ip = ipOf(address);
  const bare = ![...state.addresses].some(a => a.link === link && isV4(a.address));
  for (const owned of state.routes) {
    const { route } = owned;
    const sourced = route.src === ip && !holds(state, ip);
    const stranded = isV4(address) && bare && route.link === link && isV4(route.dst);
    if (sourced || stranded) state.routes.delete(owned);
    const { src: _, ...unsourced } = route;
    if (sourced && !isV4(address)) state.routes.add({ ...owned, route: unsourced });
  }
}

export const fakeAddresses = (state: State): Addresses => ({
  list: async link => [...state.addresses].filter(a => link === undefined || a.link === link),
  add: async given => {
    const address = canonical(given);
    linkOf(state, address.link);
    state.changes += 1;
    if ([...state.addresses].some(a => same(a, address))) refuse('EEXIST', `add address ${address.address}`);
    state.addresses.add(address);
    tell(state, 'address');
  },
  remove: async given => {
    const address = canonical(given);
    linkOf(state, address.link);
    state.changes += 1;
    if (!drop(state.addresses, a => same(a, address)))
      refuse('EADDRNOTAVAIL', `remove address ${address.address}`);
    forgetSource(state, address);
    tell(state, 'address');
  },
});
