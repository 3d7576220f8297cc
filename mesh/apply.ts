/**
 * Thin appliers: each reads one kind of thing from the kernel, compares it with the plan and
 * touches only what differs. Each returns the number of changes it made.
 */
import { BRIDGE, BRIDGE_MAC, NFT_TABLE, VETH_PREFIX, WG_LINK } from '../constants.ts';
import { ensureTable, type TableMemos } from '../platform/linux/table.ts';
import type { Kernel, Link, LinkChange, Route, WgChange, WgDevice } from '../platform/linux/types.ts';
import type { PublicKey } from '../types.ts';
import { diff } from './diff.ts';
import {
  FORWARDING6,
  type LinkPlan,
  nodeAddresses,
  nodeLinks,
  nodeSysctls,
  type SysctlPlan,
} from './links.ts';
import type { Round } from './rounds.ts';
import type { RouteTable } from './routetable.ts';
import type { MeshPlan } from './types.ts';
import { peerChanges, peerRemovals } from './wgpeers.ts';

/** The table of fail-closed rules; first of all, so that nothing is ever open. */
export const applyRules = async (kernel: Kernel, text: string, memos: TableMemos): Promise<number> =>
  Number(await ensureTable(kernel.nft, 'inet', NFT_TABLE, text, memos));

const missing = (link: Link, state: LinkChange): LinkChange =>
  Object.fromEntries(
    Object.entries(state).filter(([key, value]) => link[key as keyof Link] !== value),
  ) as LinkChange;

async function applyLink(kernel: Kernel, wanted: LinkPlan): Promise<number> {
  const link = await kernel.links.get(wanted.name);
  if (link === undefined) return 0;
  const change = missing(link, wanted.state);
  if (Object.keys(change).length === 0) return 0;
  await kernel.links.change(wanted.name, change);
  return 1;
}

async function ensureBridge(kernel: Kernel): Promise<number> {
  if ((await kernel.links.get(BRIDGE)) !== undefined) return 0;
  await kernel.links.add({ name: BRIDGE, kind: 'bridge', mac: BRIDGE_MAC });
  return 1;
}

/** Bridge and tunnel in the state planned; the tunnel's device itself is the engine's to make. */
export async function applyLinks(kernel: Kernel, plan: MeshPlan): Promise<number> {
  let changes = await ensureBridge(kernel);
  for (const link of nodeLinks(plan)) changes += await applyLink(kernel, link);
  return changes;
}

const isLinkLocal = (address: string): boolean => address.startsWith('fe80:');

/** Gateway addresses. Removes others from our two links, since nobody else has business there. */
export async function applyAddresses(kernel: Kernel, plan: MeshPlan): Promise<number> {
  const links = await kernel.links.list();
  const ours = new Set([BRIDGE, WG_LINK]);
  const actual = (await kernel.addresses.list()).filter(a => ours.has(a.link) && !isLinkLocal(a.address));
  const wanted = nodeAddresses(plan).filter(a => links.some(link => link.name === a.link));
  const { add, remove } = diff(
    wanted,
    actual,
    a => `${a.link} ${a.address}`,
    () => true,
  );
  for (const address of add) await kernel.addresses.add(address);
  for (const address of remove) await kernel.addresses.remove(address);
  return add.length + remove.length;
}

/** Absent keys (IPv6 switched off) are passed over. */
async function write(kernel: Kernel, { key, value }: SysctlPlan, only?: string): Promise<number> {
  const now = await kernel.sysctls.read(key);
  if (now === undefined || now === value || (only !== undefined && now !== only)) return 0;
  await kernel.sysctls.write(key, value);
  return 1;
}

/**
 * A host that forwards IPv6 ignores router advertisements, and would lose its default route, unless
 * accept_ra is 2. So 1 becomes 2 on all links of others, and for those still to come; 0 stays.
 */
async function keepRouterAdvertisements(kernel: Kernel): Promise<number> {
  const links = (await kernel.links.list()).map(link => link.name).filter(name => !isOurs(name));
  let changes = 0;
  for (const name of ['default', ...links])
    changes += await write(kernel, { key: `ipv6/conf/${name}/accept_ra`, value: '2' }, '1');
  return changes;
}

const isOurs = (link: string): boolean => link === BRIDGE || link === WG_LINK || link.startsWith(VETH_PREFIX);

export async function applySysctls(kernel: Kernel, plan: MeshPlan): Promise<number> {
  const wanted = nodeSysctls(plan);
  const forwards6 = wanted.some(({ key }) => key === FORWARDING6);
  let changes = forwards6 ? await keepRouterAdvertisements(kernel) : 0;
  for (const sysctl of wanted) changes += await write(kernel, sysctl);
  return changes;
}

/** Adds and changes; `kind` chooses the floor of unreachable routes or the tunnels above it. */
export async function applyRoutes(
  kernel: Kernel,
  table: RouteTable,
  plan: MeshPlan,
  kind: Route['kind'],
): Promise<number> {
  const { add, change } = await table.diff(plan);
  const todo = [...add, ...change].filter(route => route.kind === kind);
  for (const route of todo) await kernel.routes.replace(route);
  return todo.length;
}

/** Removes routes that the plan does not have. */
export async function sweepRoutes(kernel: Kernel, table: RouteTable, plan: MeshPlan): Promise<number> {
  const { remove } = await table.diff(plan);
  for (const route of remove) await kernel.routes.remove(route);
  return remove.length;
}

export type OwnKey = { readonly publicKey: PublicKey; readonly privateKey: string };

/**
 * Key, port and peers in one call of `wg set`; `endpoints` are those to set now. Peers that the
 * plan does not have go last, and only with `sweep`; those that have an heir go a little later.
 */
export async function applyPeers(
  kernel: Kernel,
  plan: MeshPlan,
  key: OwnKey,
  device: WgDevice,
  { endpoints, memory }: Pick<Round, 'endpoints' | 'memory'>,
  sweep: boolean,
): Promise<number> {
  const own = {
    ...(device.publicKey !== key.publicKey && { privateKey: key.privateKey }),
    ...(device.listenPort !== plan.settings.listenPort && { listenPort: plan.settings.listenPort }),
  };
  const changes: readonly WgChange[] = [
    ...(Object.keys(own).length > 0 ? [{ kind: 'device' as const, ...own }] : []),
    ...peerChanges(plan, device, endpoints),
    ...(sweep ? peerRemovals(plan, device, memory.retiring) : []),
  ];
  if (changes.length > 0) await kernel.wg.set(WG_LINK, changes);
  return changes.length;
}
