/**
 * The bed itself, with the reference plugins in weft's place: when this passes and weft's own cluster tests
 * do not, the fault is weft's.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Cluster, startCluster } from './cluster.ts';
import { AGNHOST_IMAGE } from './images.ts';
import { clusterUnavailable } from './packages.ts';

const podOn = (node: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `on-${node}`, labels: { app: 'echo' } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'echo', image: AGNHOST_IMAGE, args: ['netexec', '--http-port=8080'] }],
    },
  });

const SERVICE = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'echo' },
  spec: {
    ipFamilyPolicy: 'RequireDualStack',
    selector: { app: 'echo' },
    ports: [{ port: 80, targetPort: 8080 }],
  },
});

const url = (ip: string, port: number, path: string): string =>
  `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/${path}`;

describe('a cluster with the reference plugins', { skip: clusterUnavailable() ?? false }, () => {
  let cluster: Cluster;

  const kubectl = async (args: readonly string[], input = ''): Promise<string> => {
    const output = await cluster.kubectl(args, { input });
    assert.equal(output.code, 0, output.stderr);
    return output.stdout.trim();
  };
  const list = async (kind: string, name: string, path: string): Promise<readonly string[]> =>
    (await kubectl(['get', kind, name, '-o', `jsonpath=${path}`])).split(' ');
  const inPod = (pod: string, argv: readonly string[]) => kubectl(['exec', pod, '--', ...argv]);

  before(async () => {
    cluster = await startCluster({ name: 'weft-cluster-bed', nodes: 2, cni: 'bridge' });
    await cluster.nodesReady();
    // The account is the controller manager's to make, and pods need it.
    await kubectl(['wait', '--for=create', 'serviceaccount/default', '--timeout=30s']);
    for (const { name } of cluster.nodes) await kubectl(['apply', '-f', '-'], podOn(name));
    await kubectl(['apply', '-f', '-'], SERVICE);
    await kubectl(['wait', '--for=condition=Ready', 'pod', '-l', 'app=echo', '--timeout=60s']);
  });

  after(async () => cluster?.stop());

  it('carries pings and requests between nodes with unchanged sources, both families', async () => {
    const own = await list('pod', 'on-node1', '{.status.podIPs[*].ip}');
    const other = await list('pod', 'on-node2', '{.status.podIPs[*].ip}');
    assert.equal(other.length, 2);
    for (const [index, ip] of other.entries()) {
      await inPod('on-node1', ['ping', '-c1', '-W2', ip]);
      const seen = await inPod('on-node1', ['curl', '-gsS', '-m5', url(ip, 8080, 'clientip')]);
      assert.ok(seen.includes(own[index] ?? 'no address'), `${ip} saw ${seen}`);
    }
  });

  it('answers on ClusterIPs from pods and nodes, both families', async () => {
    for (const ip of await list('service', 'echo', '{.spec.clusterIPs[*]}')) {
      const argv = ['curl', '-gsS', '-m5', '--retry', '3', '--retry-all-errors', url(ip, 80, 'hostname')];
      assert.match(await inPod('on-node2', argv), /^on-node/);
      const fromNode = await cluster.exec('node1', argv);
      assert.match(fromNode.stdout, /^on-node/, fromNode.stderr);
    }
  });

  it('gives out logs', async () => {
    assert.match(await kubectl(['logs', 'on-node1']), /HTTP/);
  });
});
