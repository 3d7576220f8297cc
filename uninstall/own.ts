/** What on a node is weft's, by name alone. Pure. */
import { BRIDGE, LIMIT_PREFIX, VETH_PREFIX, WG_LINK } from '../constants.ts';

const POD_LINK = new RegExp(`^(${VETH_PREFIX}|${LIMIT_PREFIX})[0-9a-f]{11}$`);

/** Pods' links first, so that none is left without its bridge. */
export function ownLinks(names: readonly string[]): readonly string[] {
  const pods = names.filter(name => POD_LINK.test(name)).sort();
  return [...pods, ...[WG_LINK, BRIDGE].filter(name => names.includes(name))];
}

export type Table = { readonly family: string; readonly name: string };

/** Of `nft list tables`. */
export const ownTables = (listing: string): readonly Table[] =>
  [...listing.matchAll(/^table (\S+) (weft(?:-\S+)?)$/gm)].map(([, family = '', name = '']) => ({
    family,
    name,
  }));

/** A setting of a link of ours went with the link. */
export const isOwnLinksSetting = (key: string): boolean =>
  new RegExp(`/(${BRIDGE}|${WG_LINK}|(${VETH_PREFIX}|${LIMIT_PREFIX})[0-9a-f]{11})/`).test(key);

/** Links by which somebody else may forward packets, and needs it switched on. */
export const FORWARDERS =
  /^(docker\d|br-|cni|cbr|flannel|cilium|cali|virbr|lxc|lxd|incusbr|podman|kube-|antrea|weave|wg|tailscale)/;
