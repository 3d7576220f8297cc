/** Taking weft off a whole cluster, as manifests/README.md tells it. Last: nothing works afterwards. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { inNode } from '../pods.ts';
import { until } from '../process.ts';
import { agentStatus } from './agent.ts';
import { ASK, url, type World } from './world.ts';

const FOLDER = join(import.meta.dirname, '../../../manifests');

/** Whatever has our name, and our routes. */
const TRACES = `ip -o link | grep -E ': (weft|wv|wb)'; ip route show proto 119; ip -6 route show proto 119
nft list tables | grep weft; iptables-save | grep -i weft; ip6tables-save | grep -i weft; iptables-legacy-save 2>/dev/null | grep weft; ip6tables-legacy-save 2>/dev/null | grep weft
ls -d /run/weft /var/lib/weft /opt/cni/bin/weft-cni /etc/cni/net.d/10-weft.conflist /run/wireguard/weft-wg.sock 2>/dev/null; true`;

export const removal = (world: () => World): void => {
  it('puts its rules into forward chains of others that drop, out of its container', async () => {
    const { cluster, first, second, inPod } = world();
    const shell = (script: string) => inNode(cluster, first.node, ['sh', '-ec', script]);
    const programs = ['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy'];
    for (const program of programs) await shell(`${program} -P FORWARD DROP`);
    for (const program of programs)
      await until(`the rules of ${program}`, 15_000, async () =>
        (await shell(`${program} -S FORWARD`)).includes(
          '-A FORWARD -o wv+ -m comment --comment weft -j ACCEPT',
        ),
      );
    for (const ip of second.ips)
      assert.equal(await inPod(first.name, [...ASK, url(ip, 8080, 'hostname')]), second.name);
    const { host } = (await agentStatus(cluster, first.node)) as unknown as {
      readonly host: { readonly findings: readonly { readonly id: string; readonly severity: string }[] };
    };
    const said = host.findings.filter(({ id }) => id.startsWith('forward'));
    assert.deepEqual(new Set(said.map(({ severity }) => severity)), new Set(['info']));
    assert.equal(said.length, 4);
  });

  it('takes weft off every node and leaves nothing', async () => {
    const { cluster, must } = world();
    const traces = (name: string) => inNode(cluster, name, ['sh', '-c', TRACES]);
    for (const { name } of cluster.nodes) assert.match(await traces(name), /weft-wg[\s\S]*10-weft\.conflist/);
    const others = 'ls /opt/cni/bin /etc/cni/net.d; nft list tables | grep -v weft';
    const before = await inNode(cluster, 'node1', ['sh', '-c', others]);
    await must(['-n', 'weft', 'delete', 'daemonset', 'weft', 'weft-wireguard', '--wait', '--timeout=60s']);
    await must(['-n', 'weft', 'wait', 'pod', '--all', '--for=delete', '--timeout=60s']);
    await must(['apply', '-f', join(FOLDER, 'uninstall.yaml')]);
    const wait = [
      '-n',
      'weft',
      'wait',
      'pod',
      '-l',
      'app.kubernetes.io/name=weft-uninstall',
      '--timeout=90s',
    ];
    await must([
      '-n',
      'weft',
      'wait',
      '--for=jsonpath={.status.currentNumberScheduled}=3',
      'daemonset/weft-uninstall',
      '--timeout=30s',
    ]);
    await must([
      ...wait,
      '--for=jsonpath={.status.initContainerStatuses[0].state.terminated.reason}=Completed',
    ]).catch(async error => {
      throw new Error(
        `${error.message}: ${await must(['-n', 'weft', 'logs', '-l', 'app.kubernetes.io/name=weft-uninstall', '-c', 'uninstall'])}`,
      );
    });
    for (const { name } of cluster.nodes) assert.equal(await traces(name), '', `left on ${name}`);
    const own = ['weft-cni', 'loopback', '10-weft.conflist'];
    const kept = before.split('\n').filter(line => !own.includes(line));
    const after = (await inNode(cluster, 'node1', ['sh', '-c', others])).split('\n');
    assert.deepEqual(
      after.filter(line => !own.includes(line)),
      kept,
      'what others have',
    );
    const notes = await must(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.annotations}']);
    assert.doesNotMatch(notes, /weft\.network\//);
    for (const file of ['uninstall.yaml', 'weft-userspace.yaml'])
      await must(['delete', '--ignore-not-found', '--timeout=60s', '-f', join(FOLDER, file)]);
    const objects =
      'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,namespace';
    assert.doesNotMatch(await must(['get', objects, '-o', 'name']), /weft/);
  });
};
