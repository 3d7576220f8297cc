/** From flannel on k3s to weft and back: the commands of docs/install.md, as they stand there, on a cluster that flannel serves. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { POD_CIDRS } from './addresses.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { AGNHOST_IMAGE } from './images.ts';
import { CLUSTER_TARGETS, clusterUnavailable } from './packages.ts';
import { inNode, kubectl } from './pods.ts';
import { until } from './process.ts';
import { agentStatus, untilMeshed, weftImage } from './weft/agent.ts';

const ROOT = join(import.meta.dirname, '../..');
const [, SECTION = ''] =
  /^## From flannel on k3s to weft$([\s\S]*?)^## /m.exec(
    readFileSync(join(ROOT, 'docs/install.md'), 'utf8'),
  ) ?? [];

/** The lines of code of a step, with those that a backslash continues in one. */
const step = (number: number): readonly string[] => {
  const [, text = ''] = new RegExp(`^${number}\\. ([\\s\\S]*?)^(?:\\d\\. |\\S)`, 'm').exec(SECTION) ?? [];
  const code = Array.from(text.matchAll(/^ {7}(.*)$/gm), ([, line = '']) => line).join('\n');
  const lines = code.replaceAll(/ \\\n\s*/g, ' ').split('\n');
  assert.ok(
    lines.every(line => line !== ''),
    `docs/install.md has no step ${number} with commands`,
  );
  return lines;
};

const PODS = JSON.stringify({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'echo' },
  spec: {
    selector: { matchLabels: { app: 'echo' } },
    template: {
      metadata: { labels: { app: 'echo' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'echo', image: AGNHOST_IMAGE, args: ['netexec', '--http-port=8080'] }],
      },
    },
  },
});

const MANIFEST = readFileSync(join(ROOT, 'manifests/weft-userspace.yaml'), 'utf8').replace(
  '"clusterCidrs": []',
  `"clusterCidrs": ${JSON.stringify(POD_CIDRS)}`,
);

const FILE = '/etc/rancher/k3s/config.yaml';
const NODES = ['node1', 'node2', 'node3'] as const;
const BOTH_WAYS = (a: string, b: string): readonly string[] => [`${a} > ${b}`, `${b} > ${a}`];
const ALL = [
  ...BOTH_WAYS('node1', 'node2'),
  ...BOTH_WAYS('node1', 'node3'),
  ...BOTH_WAYS('node2', 'node3'),
].sort();

/** Prints the addresses that answer. */
const PING = 'for ip in "$@"; do ping -c1 -W1 -q "$ip" > /dev/null 2>&1 && echo "$ip"; done; true';

/** What is so of a node on which an agent waits. */
const PORT_HELD = 'udp port';

type Pod = { readonly name: string; readonly node: string; readonly ips: readonly string[] };

type Told = {
  readonly ready: boolean;
  readonly excluded: readonly { readonly node: string; readonly kind: string }[];
  readonly host: { readonly findings: readonly { readonly id: string; readonly what: string }[] };
};

const unavailable = clusterUnavailable([...CLUSTER_TARGETS, 'flannel']);

describe('from flannel on k3s to weft', { skip: unavailable ?? false }, () => {
  let cluster: Cluster;
  const must = (args: readonly string[], input = '') => kubectl(cluster, args, input);
  const shell = (node: string, script: string) => inNode(cluster, node, ['sh', '-euc', script]);
  const told = async (node: string) => (await agentStatus(cluster, node)) as unknown as Told;

  /** One a node. */
  const echoes = async (): Promise<readonly Pod[]> => {
    const path = '{range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIPs[*].ip}{"\\n"}{end}';
    const text = await must(['get', 'pods', '-l', 'app=echo', '-o', `jsonpath=${path}`]);
    return text.split('\n').map(line => {
      const [name = '', node = '', ...ips] = line.trim().split(' ');
      return { name, node, ips };
    });
  };

  /** Ways between nodes on which a pod gets an answer of the other's, in both families. */
  const ways = async (): Promise<readonly string[]> => {
    const pods = await echoes();
    const found: string[] = [];
    for (const from of pods) {
      const others = pods.filter(pod => pod !== from);
      const argv = ['exec', from.name, '--', 'bash', '-c', PING, 'bash', ...others.flatMap(pod => pod.ips)];
      const answered = (await must(argv)).split('\n');
      for (const to of others)
        if (to.ips.length === 2 && to.ips.every(ip => answered.includes(ip)))
          found.push(`${from.node} > ${to.node}`);
        else
          assert.ok(!to.ips.some(ip => answered.includes(ip)), `half a way from ${from.node} to ${to.node}`);
    }
    return found.sort();
  };

  const untilWays = (expected: readonly string[], what: string) =>
    until(what, 60_000, async () => {
      await must(['rollout', 'status', 'daemonset/echo', '--timeout=60s']);
      assert.deepEqual(await ways(), expected);
      return true;
    });

  /** Step 4 for a node; the comment in it is what a person does there. */
  const switchNode = async (node: string): Promise<void> => {
    for (const line of step(4)) {
      const [program, ...args] = line.replace('NODE', node).split(' ');
      if (line === '# on the node: reboot') await cluster.reboot(node);
      else assert.equal(program, 'kubectl', line);
      if (program === 'kubectl') await must(args);
    }
  };

  before(async () => {
    const image = await weftImage();
    cluster = await startCluster({ name: 'weft-cluster-flannel', cni: 'flannel', images: [image] });
    await cluster.nodesReady();
    await must(['wait', '--for=create', 'serviceaccount/default', '--timeout=30s']);
    await must(['apply', '-f', '-'], PODS);
  });

  after(async () => cluster?.stop());

  it('begins with pods that talk over flannel', async () => {
    await untilWays(ALL, 'flannel to carry pods');
    assert.match(await shell('node1', 'ip -br link'), /flannel\.1 [\s\S]*flannel-v6\.1 [\s\S]*cni0 /);
  });

  it('has agents that wait, say for what, and cut nothing', async () => {
    const lines = step(2).join('\n');
    await shell('node1', `printf '%s\\n' '${lines}' >> ${FILE}`);
    // In place of flannel's WireGuard, which this kernel need not have.
    await shell('node2', 'nc -u -l 51820 > /dev/null < /dev/null 2>&1 &');
    await must(['apply', '-f', '-'], MANIFEST);
    for (const node of NODES)
      await until(`${node} to wait`, 60_000, async () => {
        const { ready, excluded, host } = await told(node);
        const own = excluded.find(one => one.node === node);
        const ids = host.findings.map(({ id }) => id);
        const named = ['foreign flannel', 'foreign rules flannel'].every(id => ids.includes(id));
        return !ready && own?.kind === 'occupied' && named && ids.includes(PORT_HELD) === (node === 'node2');
      });
    assert.deepEqual(await ways(), ALL);
    for (const node of NODES)
      assert.doesNotMatch(await shell(node, 'ip -br link; nft list tables; ip route'), /weft0|inet weft|119/);
    assert.doesNotMatch(await must(['get', 'nodes', '-o', 'yaml']), /weft\.network\/public-key/);
    const events = async () => /has another pod network at work/.test(await must(['get', 'events']));
    await until('Events on the Nodes', 20_000, events);
  });

  it('has two halves while nodes have switched and others have not', async () => {
    await switchNode('node1');
    await untilWays(BOTH_WAYS('node2', 'node3'), 'the halves');
    const { ready, excluded } = await told('node1');
    assert.ok(ready);
    assert.deepEqual(
      excluded.map(one => one.node),
      ['node2', 'node3'],
    );
  });

  it('carries all pods once all nodes have switched, and nothing of flannel is at work', async () => {
    await Promise.all(['node2', 'node3'].map(switchNode));
    await untilMeshed(cluster, 60_000);
    await untilWays(ALL, 'weft to carry pods');
    for (const node of NODES) {
      const findings = (await told(node)).host.findings.map(({ id }) => id);
      assert.deepEqual(
        findings.filter(id => id.startsWith('foreign') || id === PORT_HELD),
        [],
      );
      assert.match(await shell(node, 'nft list tables'), /inet weft\n/);
    }
    const [remove = '', annotate = '', ...rest] = step(5);
    assert.deepEqual(rest, []);
    for (const node of NODES) {
      await shell(node, remove);
      assert.equal(
        await shell(
          node,
          'find /var/lib/cni /var/lib/rancher -name "*flannel.conflist" 2> /dev/null || true',
        ),
        '',
      );
    }
    await must(annotate.split(/ +/).slice(1));
    assert.doesNotMatch(await must(['get', 'nodes', '-o', 'yaml']), /flannel\.alpha/);
    assert.deepEqual(await ways(), ALL);
  });

  it('goes back to flannel', async () => {
    await shell('node1', `sed -i '/flannel-backend/d; /disable-network-policy/d' ${FILE}`);
    await must(['-n', 'weft', 'delete', 'daemonset', 'weft', 'weft-wireguard', '--wait', '--timeout=60s']);
    await must(['-n', 'weft', 'wait', 'pod', '--all', '--for=delete', '--timeout=60s']);
    await must(['apply', '-f', join(ROOT, 'manifests/uninstall.yaml')]);
    await must(['-n', 'weft', 'rollout', 'status', 'daemonset/weft-uninstall', '--timeout=90s']);
    await Promise.all(NODES.map(node => cluster.reboot(node)));
    await untilWays(ALL, 'flannel to carry pods again');
    for (const node of NODES)
      assert.doesNotMatch(await shell(node, 'ip -br link; ls /etc/cni/net.d'), /weft/);
  });
});
