/** All that weft has put on a node goes, in an order in which nothing of it is ever missed by what is still there. */
import type { Client } from '../discovery/client.ts';
import type { Firewalls } from '../platform/linux/firewall.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { uninstallConfig, uninstallFiles } from './files.ts';
import { uninstallKernel } from './kernel.ts';
import { uninstallNode } from './node.ts';
import type { Places, Removal } from './types.ts';

export type UninstallDeps = {
  readonly kernel: Kernel;
  readonly firewalls: Firewalls;
  readonly places: Places;
  /** Undefined: nobody can be asked, and the annotations stay. */
  readonly client: Client | undefined;
  readonly nodeName: string | undefined;
};

const ANNOTATIONS = 'annotations of the Node';

/** The agent must not run: it would put everything back. Never rejects; what failed is among the results. */
export async function uninstall(deps: UninstallDeps): Promise<readonly Removal[]> {
  const { kernel, firewalls, places, client, nodeName } = deps;
  const config = await uninstallConfig(places);
  const inKernel = await uninstallKernel(kernel, firewalls, places.sysctlRecord);
  const files = await uninstallFiles(places);
  const node: readonly Removal[] =
    client === undefined || nodeName === undefined
      ? [
          {
            kind: 'left',
            what: ANNOTATIONS,
            why: `${client === undefined ? 'there are no credentials for the API server here' : 'the name of the Node is not known here'}: kubectl annotate node NAME weft.network/public-key- weft.network/endpoints- weft.network/key-rotated-`,
          },
        ]
      : await uninstallNode(client, nodeName);
  return [...config, ...inKernel, ...files, ...node];
}
