/** What container runtime and kubelet do to weft in their life: restarts, reloads, what pods ask for. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AGNHOST_IMAGE } from '../images.ts';
import { inNode, makePods, pingFrom, processOf } from '../pods.ts';
import { until } from '../process.ts';
import { agentStatus, askStatus, podOf, readiness, untilMeshed } from './agent.ts';
import { ASK, url, type World } from './world.ts';

const RESTARTS = 20;

/** With all that a pod can ask of a CNI plugin. */
const DEMANDING = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'demanding',
    annotations: { 'kubernetes.io/ingress-bandwidth': '20M', 'kubernetes.io/egress-bandwidth': '10M' },
  },
  spec: {
    nodeName: 'node2',
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'echo',
        image: AGNHOST_IMAGE,
        args: ['netexec', '--http-port=8080'],
        ports: [{ containerPort: 8080, hostPort: 8088 }],
      },
    ],
  },
});

export const runtime = (world: () => World): void => {
  it(`no node is NotReady for a moment while an agent is restarted ${RESTARTS} times`, async t => {
    const { cluster, must } = world();
    const since = await readiness(cluster);
    const asked = await askStatus(cluster, 'node1');
    const ids = new Set<string>();
    for (let n = 0; n < RESTARTS; n++) {
      const pod = await podOf(cluster, 'weft', 'node1');
      // By turns as a rollout ends it, and as a kill does.
      const how = n % 2 === 0 ? [] : ['--grace-period=0', '--force'];
      await must(['-n', 'weft', 'delete', 'pod', pod, ...how]);
      ids.add(pod);
      await until('the next agent', 30_000, async () => (await podOf(cluster, 'weft', 'node1')) !== pod);
      await until('its readiness', 30_000, async () => (await agentStatus(cluster, 'node1')).ready);
    }
    assert.equal(ids.size, RESTARTS);
    const answers = await asked();
    t.diagnostic(`${answers.length} STATUS calls meanwhile`);
    assert.ok(answers.length > 20);
    assert.deepEqual(new Set(answers), new Set(['0']));
    assert.deepEqual(await readiness(cluster), since);
    await untilMeshed(cluster);
  });

  it('gives a pod its hostPort and its bandwidth limits through containerd, and takes them away', async () => {
    const { cluster, must, outside } = world();
    await must(['apply', '-f', '-'], DEMANDING);
    await must(['wait', '--for=condition=Ready', 'pod/demanding', '--timeout=60s']);
    const node = cluster.nodes[1];
    // Ready says that its container runs, not yet that its server listens.
    const listens = async () =>
      (await outside([...ASK, url(node?.ipv4 ?? '', 8088, 'hostname')])).stdout.trim() === 'demanding';
    await until('the pod to listen', 30_000, listens);
    for (const ip of [node?.ipv4 ?? '', node?.ipv6 ?? '']) {
      assert.equal((await outside([...ASK, url(ip, 8088, 'hostname')])).stdout.trim(), 'demanding');
      assert.equal(await inNode(cluster, 'node2', [...ASK, url(ip, 8088, 'hostname')]), 'demanding');
    }
    assert.equal(await inNode(cluster, 'node2', [...ASK, url('127.0.0.1', 8088, 'hostname')]), 'demanding');
    const lease = (await agentStatus(cluster, 'node2')).pods.find(({ pod }) => pod?.name === 'demanding');
    const shaped = async () => inNode(cluster, 'node2', ['tc', 'qdisc', 'show']);
    assert.match(await shaped(), new RegExp(`tbf.* dev ${lease?.link} .*rate 20Mbit`));
    assert.match(await shaped(), new RegExp(`tbf.* dev ${lease?.link.replace('wv', 'wb')} .*rate 10Mbit`));
    await must(['delete', 'pod', 'demanding']);
    const answer = async () => (await outside([...ASK, url(node?.ipv4 ?? '', 8088, 'hostname')])).stdout;
    const gone = async () => !(await shaped()).includes('tbf') && !(await answer()).includes('demanding');
    await until('port and limits to be gone', 20_000, gone);
  });

  it('wires pods when containerd was killed, and when somebody had removed its configuration', async () => {
    const { cluster, must } = world();
    const [before] = await makePods(cluster, { 'reload-a': 'node2' });
    await cluster.restartRuntime('node2');
    const [after] = await makePods(cluster, { 'reload-b': 'node2' });
    await inNode(cluster, 'node2', ['rm', '/etc/cni/net.d/10-weft.conflist']);
    await must(['-n', 'weft', 'delete', 'pod', await podOf(cluster, 'weft', 'node2')]);
    await until('the configuration', 30_000, async () => {
      const { code } = await cluster.exec('node2', ['test', '-s', '/etc/cni/net.d/10-weft.conflist']);
      return code === 0;
    });
    const [last] = await makePods(cluster, { 'reload-c': 'node2' });
    for (const ip of [before, after, last].flatMap(pod => pod?.ips ?? []))
      await pingFrom(cluster, 'node1', ip);
    assert.ok((await processOf(cluster, ['reload-a'])).pid === before?.pid, 'a pod outlives its runtime');
    await must(['delete', 'pod', 'reload-a', 'reload-b', 'reload-c', '--grace-period=0', '--force']);
    await untilMeshed(cluster);
  });
};
