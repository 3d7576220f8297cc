/** Which source address whom reaches where kube-proxy itself is at work: the rows of docs/design.md that need it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { inNode } from '../pods.ts';
import { until } from '../process.ts';
import { agentStatus } from './agent.ts';
import { url, type World } from './world.ts';

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

const of = (family: Family, ips: readonly string[]): string =>
  ips.find(ip => ip.includes(':') === (family === 6)) ?? '';

const service = (name: string, pod: string, policy: 'Cluster' | 'Local'): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'NodePort',
      externalTrafficPolicy: policy,
      ipFamilyPolicy: 'RequireDualStack',
      selector: { pod },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  });

/** `203.0.113.7:4711` or `[2001:db8::1]:4711`, without the port. */
const host = (said: string): string =>
  said
    .trim()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');

export const sources = (world: () => World): void => {
  it('gives each call the source address that the design states', async () => {
    const { cluster, first, second, must, list, outside } = world();
    const curl = (ip: string, port: number | string) => ['curl', '-gsS', '-m4', url(ip, port, 'clientip')];
    const node = (name: string) => cluster.nodes.find(one => one.name === name);
    const nodeIps = (name: string) => [node(name)?.ipv4 ?? '', node(name)?.ipv6 ?? ''];
    const { gateways } = await agentStatus(cluster, first.node);
    await must(['apply', '-f', '-'], service('by-cluster', second.name, 'Cluster'));
    await must(['apply', '-f', '-'], service('by-local', second.name, 'Local'));
    const clusterIps = await list('service', 'by-cluster', '{.spec.clusterIPs[*]}');
    const [byCluster = ''] = await list('service', 'by-cluster', '{.spec.ports[0].nodePort}');
    const [byLocal = ''] = await list('service', 'by-local', '{.spec.ports[0].nodePort}');
    const fromOutside = async (ip: string, port: string) => host((await outside(curl(ip, port))).stdout);
    for (const family of FAMILIES) {
      const gateway = of(family, gateways);
      const fromNode = async (ip: string, port: number) =>
        host(await inNode(cluster, first.node, curl(ip, port)));
      await until('the Services', 20_000, async () => {
        const local = await fromOutside(of(family, nodeIps(second.node)), byLocal);
        return local !== '' && (await fromNode(of(family, clusterIps), 80).catch(() => '')) !== '';
      });
      const far = of(family, second.ips);
      assert.equal(await fromNode(far, 8080), gateway, 'node → pod of another node');
      assert.equal(await fromNode(of(family, clusterIps), 80), gateway, 'node → Service');
      const near = of(family, first.ips);
      assert.equal(await fromNode(near, 8080), gateway, 'node → its own pod');
      const asked = of(family, nodeIps(first.node));
      assert.equal(await fromOutside(asked, byCluster), gateway, 'outside → NodePort, policy Cluster');
      const route = (await outside(['ip', 'route', 'get', asked])).stdout;
      const caller = /\bsrc (\S+)/.exec(route)?.[1];
      assert.equal(
        await fromOutside(of(family, nodeIps(second.node)), byLocal),
        caller,
        'outside → NodePort, policy Local',
      );
      assert.equal(await fromOutside(asked, byLocal), '', 'policy Local, a node without such a pod');
    }
  });
};
