/** Permanent neighbour entries and sysctls of the fake. */
import type { Neighbour, Neighbours, Sysctls } from '../types.ts';
import { drop, linkOf, refuse, type State, tell } from './state.ts';

const same = (a: Neighbour, b: Neighbour): boolean => a.link === b.link && a.ip === b.ip;

export const fakeNeighbours = (state: State): Neighbours => ({
  permanent: async link => [...state.neighbours].filter(n => link === undefined || n.link === link),
  replace: async neighbour => {
    linkOf(state, neighbour.link);
    state.changes += 1;
    drop(state.neighbours, n => same(n, neighbour));
    state.neighbours.add(neighbour);
    tell(state, 'neighbour');
  },
  remove: async neighbour => {
    linkOf(state, neighbour.link);
    state.changes += 1;
    if (!drop(state.neighbours, n => same(n, neighbour)))
      refuse('ENOENT', `remove neighbour ${neighbour.ip}`);
    tell(state, 'neighbour');
  },
});

/** Keys by their last part, with the value of a fresh namespace. */
const DEFAULTS: ReadonlyMap<string, string> = new Map([
  ['ipv4/ip_forward', '0'],
  ['ipv4/conf/*/rp_filter', '0'],
  ['ipv4/conf/*/forwarding', '0'],
  ['ipv6/conf/*/forwarding', '0'],
  ['ipv6/conf/*/accept_ra', '1'],
  ['ipv6/conf/*/accept_dad', '1'],
]);

/** `all`, `default` and links that exist have a directory of their own. */
function initial(state: State, key: string): string | undefined {
  const link = /^ipv[46]\/conf\/([^/]+)\//.exec(key)?.[1];
  if (link !== undefined && !['all', 'default'].includes(link) && !state.links.has(link)) return undefined;
  return DEFAULTS.get(link === undefined ? key : key.replace(`/conf/${link}/`, '/conf/*/'));
}

export const fakeSysctls = (state: State): Sysctls => {
  const read = (key: string): string | undefined => {
    const value = initial(state, key);
    return value === undefined ? undefined : (state.sysctls.get(key) ?? value);
  };
  return {
    read: async key => read(key),
    write: async (key, value) => {
      state.changes += 1;
      if (read(key) === undefined) refuse('ENOENT', `write sysctl ${key}=${value}`);
      if (!/^-?\d+$/.test(value)) refuse('EINVAL', `write sysctl ${key}=${value}`);
      state.sysctls.set(key, value);
    },
  };
};
