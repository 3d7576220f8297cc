/**
 * The way from the API server to pods. It asks some by their addresses (the proxy of pods and Services), and
 * here it runs on no node: so the nodes are its routers, and weft is told that its link is no way around the mesh.
 */
import type { Cluster } from './cluster.ts';
import { kubectl } from './pods.ts';
import { must } from './process.ts';

type Node = {
  readonly spec: { readonly podCIDRs?: readonly string[] };
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] };
};

const routesOf = ({ spec, status }: Node): readonly string[] => {
  const via = (v6: boolean) =>
    status.addresses.find(({ type, address }) => type === 'InternalIP' && address.includes(':') === v6)
      ?.address;
  return (spec.podCIDRs ?? []).map(
    cidr => `ip ${cidr.includes(':') ? '-6 ' : ''}route replace ${cidr} via ${via(cidr.includes(':'))}`,
  );
};

const LINK = 'eth0';

/** Nothing where another CNI is installed. */
async function openLink(cluster: Cluster): Promise<void> {
  const weft = ['-n', 'weft'];
  const asked = [...weft, 'get', 'configmap', 'weft-config', '--ignore-not-found', '-o', 'json'];
  const found = await kubectl(cluster, asked);
  if (found === '') return;
  const { data } = JSON.parse(found) as { data: { 'config.json': string } };
  const config = JSON.parse(data['config.json']) as { directLinks?: readonly string[] };
  if (config.directLinks?.includes(LINK)) return;
  const text = JSON.stringify({ ...config, directLinks: [...(config.directLinks ?? []), LINK] });
  const patch = JSON.stringify({ data: { 'config.json': text } });
  await kubectl(cluster, [...weft, 'patch', 'configmap', 'weft-config', '--type=merge', '-p', patch]);
  await kubectl(cluster, [...weft, 'rollout', 'restart', 'daemonset/weft']);
  await kubectl(cluster, [...weft, 'rollout', 'status', 'daemonset/weft', '--timeout=90s']);
}

/** For a cluster that is Ready. */
export const letApiReachPods = async (cluster: Cluster): Promise<void> => {
  const nodes = JSON.parse(await kubectl(cluster, ['get', 'nodes', '-o', 'json'])) as {
    items: readonly Node[];
  };
  const script = nodes.items.flatMap(routesOf).join('\n');
  await must(['nsenter', `--net=${cluster.controlNetns}`, 'sh', '-euc', script]);
  await openLink(cluster);
};
