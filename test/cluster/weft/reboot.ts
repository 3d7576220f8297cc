/** A node loses its power with fifty pods on it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { PAUSE_IMAGE } from '../images.ts';
import { inNode } from '../pods.ts';
import { until } from '../process.ts';
import { agentStatus, askStatus, readiness, untilMeshed } from './agent.ts';
import type { World } from './world.ts';

const PODS = 50;

const deployment = JSON.stringify({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'many' },
  spec: {
    replicas: PODS,
    selector: { matchLabels: { app: 'many' } },
    template: {
      metadata: { labels: { app: 'many' } },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': 'node3' },
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'pause', image: PAUSE_IMAGE }],
      },
    },
  },
});

type PodStatus = {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly hostNetwork?: boolean };
  readonly status: {
    readonly phase: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
};

const isReady = (pod: PodStatus): boolean =>
  pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

export const reboot = (world: () => World): void => {
  it(`comes back after a loss of power with its ${PODS} pods, and nothing is left of the life before`, async t => {
    const { cluster, must } = world();
    const podsOf = async (): Promise<readonly PodStatus[]> => {
      const text = await must(['get', 'pods', '--field-selector=spec.nodeName=node3', '-o', 'json']);
      return (JSON.parse(text) as { items: PodStatus[] }).items;
    };
    await must(['apply', '-f', '-'], deployment);
    await must(['rollout', 'status', 'deployment/many', '--timeout=120s']);
    const from = Date.now();
    await cluster.reboot('node3');
    const asked = await askStatus(cluster, 'node3');
    const states = new Set<string>();
    const note = async () =>
      states.add((await readiness(cluster)).find(line => line.startsWith('node3')) ?? '');
    const restarts = (pod: PodStatus) => pod.status.containerStatuses?.[0]?.restartCount ?? 0;
    const back = async () => {
      await note();
      const pods = await podsOf();
      return pods.length > PODS && pods.every(pod => isReady(pod) && restarts(pod) > 0);
    };
    await until('all pods of node3 to run again', 150_000, back, 500);
    t.diagnostic(`all Ready ${((Date.now() - from) / 1000).toFixed(0)} s after the loss of power`);
    await untilMeshed(cluster);
    await note();
    t.diagnostic([...states].join(', '));
    // As it was when it lost its power, once not ready, and ready from then on: each change would be another time.
    assert.ok(states.size <= 3 && [...states].at(-1)?.includes('True'));
    assert.match((await asked()).join(''), /^1*0{10,}$/, 'STATUS is no error any more once it was none');
    const ips = (await podsOf()).map(({ status }) => status.podIPs?.map(({ ip }) => ip) ?? []);
    assert.equal(new Set(ips.flat()).size, ips.length * 2);
    const ping = 'for ip in "$@"; do ping -c1 -W2 -q "$ip" > /dev/null || echo "$ip"; done';
    assert.equal(await inNode(cluster, 'node1', ['sh', '-c', ping, 'sh', ...ips.flat()]), '');
    const agrees = async () => {
      const { pods, cni } = await agentStatus(cluster, 'node3');
      const count = (script: string) => inNode(cluster, 'node3', ['sh', '-c', script]).then(Number);
      const held = pods.flatMap(lease => lease.ips).sort();
      const links = await count('ls /sys/class/net | grep -c ^wv');
      const files = await count('ls /run/weft/pods | wc -l');
      const elements = await count(
        `nft list table bridge weft | grep -oE '"wv[0-9a-f]{11}"' | sort -u | wc -l`,
      );
      const used = cni.pools.map(pool => pool.used);
      const n = ips.length;
      return isDeepStrictEqual([held, links, files, elements, used], [ips.flat().sort(), n, n, n, [n, n]]);
    };
    await until('leases, links and addresses to be those of the pods', 30_000, agrees);
    await must(['delete', 'deployment', 'many']);
    await until('the pods to go', 60_000, async () => (await podsOf()).length === ips.length - PODS);
  });
};
