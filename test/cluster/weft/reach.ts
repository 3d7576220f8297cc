/** Who reaches whom, by which address, and what the wire sees of it. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { record } from '../../lab/capture.ts';
import { POD_CIDRS } from '../addresses.ts';
import { inNode, type TestPod } from '../pods.ts';
import { sleep, until } from '../process.ts';
import { ASK, url, type World } from './world.ts';

const service = (name: string, selector: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'NodePort',
      ipFamilyPolicy: 'RequireDualStack',
      selector,
      ports: [{ port: 80, targetPort: 8080 }],
    },
  });

const sameFamily = (a: string) => (b: string) => a.includes(':') === b.includes(':');

const repeat = <T>(times: number, item: T): readonly T[] => Array.from({ length: times }, () => item);

/** Every answer is a pod's name, and they come from more than one node. */
const assertSpread = (pods: readonly TestPod[], who: string, answers: readonly string[]): void => {
  const nodes = answers.map(answer => pods.find(pod => pod.name === answer)?.node);
  assert.ok(!nodes.includes(undefined), `${who} got ${answers.join(', ')}`);
  assert.ok(new Set(nodes).size > 1, `${who} got answers from ${nodes[0]} alone`);
};

export const reach = (world: () => World): void => {
  it('lets nine pods on three nodes reach each other with their own addresses, both families', async () => {
    const { pods, inPod } = world();
    const targets = pods.flatMap(pod => pod.ips);
    assert.equal(new Set(targets).size, 18);
    for (const pod of pods) {
      const seen = await inPod(pod.name, [...ASK, ...targets.map(ip => url(ip, 8080, 'clientip'))]);
      const sources = seen.split('\n').map(line => line.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
      const own = targets.map(target => pod.ips.find(sameFamily(target)));
      assert.deepEqual(sources, own, `what ${targets.join(', ')} saw of ${pod.name}`);
    }
  });

  it('carries more than a packet holds, between nodes, both families', async () => {
    const { second, third, inPod } = world();
    const text = 'x'.repeat(7000);
    for (const ip of third.ips)
      assert.equal(await inPod(second.name, [...ASK, url(ip, 8080, `echo?msg=${text}`)]), text);
  });

  it('answers on a ClusterIP from every node and pod, and on a NodePort from outside, both families', async () => {
    const { cluster, pods, must, inPod, list, outside } = world();
    await must(['apply', '-f', '-'], service('echo', { app: 'echo' }));
    const ips = await list('service', 'echo', '{.spec.clusterIPs[*]}');
    assert.equal(ips.length, 2);
    const ready = async () =>
      (await cluster.exec('node1', ['curl', '-gsS', '-m2', url(ips[1] ?? '', 80, 'hostname')])).code === 0;
    await until('the Service on node1', 20_000, ready);
    for (const ip of ips) {
      const argv = [...ASK, ...repeat(12, url(ip, 80, 'hostname'))];
      for (const { name } of pods) assertSpread(pods, name, (await inPod(name, argv)).split('\n'));
      for (const { name } of cluster.nodes)
        assertSpread(pods, name, (await inNode(cluster, name, argv)).split('\n'));
    }
    const [port = ''] = await list('service', 'echo', '{.spec.ports[0].nodePort}');
    for (const ip of cluster.nodes.flatMap(node => [node.ipv4, node.ipv6])) {
      const { stdout } = await outside([...ASK, ...repeat(12, url(ip, port, 'hostname'))]);
      assertSpread(pods, `outside, at ${ip},`, stdout.trim().split('\n'));
    }
  });

  it('leads a pod to itself through a Service, and out of the cluster by the node’s address', async () => {
    const { first, second, must, inPod, list } = world();
    await must(['apply', '-f', '-'], service('self', { pod: first.name }));
    for (const ip of await list('service', 'self', '{.spec.clusterIPs[*]}')) {
      const ask = async () => (await inPod(first.name, [...ASK, url(ip, 80, 'hostname')])) === first.name;
      await until(`${first.name} reaches itself at ${ip}`, 20_000, ask);
    }
    // The API server is outside of the nodes and has no way back to a pod's address.
    assert.match(
      await inPod(second.name, ['curl', '-ksS', '-m8', 'https://10.43.0.1/version']),
      /gitVersion/,
    );
  });

  it('sends nothing of pods in clear, and lets nobody reach them past the tunnel', async () => {
    const { cluster, first, second, inPod, list, outside } = world();
    const file = join(cluster.logs, 'underlay.pcap');
    const capture = await record('br0', file, ['nsenter', `--net=${cluster.underlayNetns}`]);
    const secret = 'between-pods-of-two-nodes';
    for (const ip of second.ips) await inPod(first.name, [...ASK, url(ip, 8080, `echo?msg=${secret}`)]);
    const [port = ''] = await list('service', 'echo', '{.spec.ports[0].nodePort}');
    const control = 'from-outside-to-a-node-port';
    await outside(['curl', '-gsS', url(cluster.nodes[0]?.ipv4 ?? '', port, `echo?msg=${control}`)]);
    const [own = ''] = first.ips;
    await outside(['ip', 'route', 'add', own, 'via', cluster.nodes[0]?.ipv4 ?? '']);
    const direct = await outside(['curl', '-gsS', '-m2', url(own, 8080, 'hostname')]);
    await outside(['ip', 'route', 'del', own]);
    await sleep(200);
    const wire = await capture.stop();
    assert.ok(wire.holds(Buffer.from(control)), 'the capture sees what is in clear');
    assert.ok(!wire.holds(Buffer.from(secret)), 'bytes of pods in clear');
    assert.ok((await wire.count('udp port 51820')) > 10);
    const podNets = `src net ${POD_CIDRS[0]} or src net ${POD_CIDRS[1]}`;
    assert.equal(await wire.count(podNets), 0, 'packets with addresses of pods');
    assert.ok((await wire.count(`dst host ${own}`)) > 0, 'the direct attempt was on the wire');
    assert.equal(direct.code, 28, `direct: ${direct.stdout}${direct.stderr}`);
    rmSync(file);
  });
};
