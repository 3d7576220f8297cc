import { POD_CIDRS } from './addresses.ts';
import { targetFolder } from './build.ts';
import type { Layout } from './layout.ts';
import { type ClusterNode, execInNode } from './node.ts';
import { type Output, until } from './process.ts';

/** Asks the API server; as Cluster.kubectl. */
type Kubectl = (args: readonly string[]) => Promise<Output>;

const conflist = (podCidrs: readonly string[]): string =>
  JSON.stringify({
    cniVersion: '1.1.0',
    name: 'reference',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: podCidrs.map(subnet => [{ subnet }]),
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });

/** Pods reach what is outside of the cluster from the node's address, as any network of pods lets them. */
const MASQUERADE = `table inet reference_cni {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr ${POD_CIDRS[0]} ip daddr != ${POD_CIDRS[0]} oifname eth0 masquerade
    ip6 saddr ${POD_CIDRS[1]} ip6 daddr != ${POD_CIDRS[1]} oifname eth0 masquerade
  }
}`;

const podCidrsOf = async (kubectl: Kubectl, node: string): Promise<readonly string[] | undefined> => {
  const { stdout } = await kubectl(['get', 'node', node, '-o', 'jsonpath={.spec.podCIDRs[*]}']);
  const cidrs = stdout.trim().split(' ').filter(Boolean);
  return cidrs.length === POD_CIDRS.length ? cidrs : undefined;
};

/** The podCIDRs of a Node, once it has them. */
export const untilPodCidrs = (kubectl: Kubectl, node: string): Promise<readonly string[]> =>
  until(`podCIDRs of ${node}`, 60_000, () => podCidrsOf(kubectl, node), 300);

const routesTo = (peer: ClusterNode, cidrs: readonly string[]): readonly string[] =>
  cidrs.map(cidr => `ip route replace ${cidr} via ${cidr.includes(':') ? peer.ipv6 : peer.ipv4}`);

const inNode = async (at: Layout, node: ClusterNode, script: string, input = ''): Promise<void> => {
  const output = await execInNode(at, node.name, ['sh', '-euc', script], { input });
  if (output.code !== 0) throw new Error(`${node.name}: ${output.stderr}`);
};

const install = async (at: Layout, node: ClusterNode, cidrs: readonly string[]): Promise<void> => {
  const plugins = targetFolder('cniPlugins');
  await inNode(at, node, `cp ${plugins}/* /opt/cni/bin/`);
  await inNode(at, node, 'nft -f -', MASQUERADE);
  await inNode(at, node, 'cat > /etc/cni/net.d/10-reference.conflist', conflist(cidrs));
};

/**
 * Installs the reference plugins on every node: bridge, host-local, portmap, and static routes between the
 * nodes. For testing this bed itself, and as the peer in comparisons.
 */
export const installBridgeCni = async (
  at: Layout,
  nodes: readonly ClusterNode[],
  kubectl: Kubectl,
): Promise<void> => {
  const cidrs = await Promise.all(nodes.map(node => untilPodCidrs(kubectl, node.name)));
  const routes = nodes.map((node, index) => routesTo(node, cidrs[index] ?? []));
  for (const [index, node] of nodes.entries()) {
    await install(at, node, cidrs[index] ?? []);
    await inNode(
      at,
      node,
      routes
        .filter((_, other) => other !== index)
        .flat()
        .join('\n'),
    );
  }
};
