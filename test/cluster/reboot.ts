import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { removeCgroups } from './cgroups.ts';
import { startFlannel } from './cni-flannel.ts';
import { end, noted } from './daemons.ts';
import { flannelOn } from './k3s.ts';
import { type Layout, netnsName } from './layout.ts';
import { type ClusterNode, makeNode, nodeFolder, startAgents, startRuntime } from './node.ts';
import type { ProxyMode } from './node-config.ts';
import { clearNetns } from './teardown.ts';

/**
 * As when a machine loses its power and starts again: processes, links, tables, cgroups and /run are gone, what is on
 * its disk stays. Resolves when containerd answers and the kubelet runs.
 */
export const rebootNode = async (at: Layout, node: ClusterNode, mode: ProxyMode): Promise<void> => {
  await end(noted(at).filter(daemon => daemon.role.startsWith(`${node.name}.`)));
  await clearNetns(netnsName(at, node.name));
  await removeCgroups(at, node.name);
  rmSync(join(nodeFolder(at, node.name), 'ready'));
  await makeNode(at, node);
  await startRuntime(at, node.name, []);
  startAgents(at, node, mode);
  if (flannelOn(at)) await startFlannel(at, node.name);
};
