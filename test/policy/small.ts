/** Small worlds by hand, and one question asked of every judge that there is. */
import assert from 'node:assert/strict';
import { newCompiler } from '../../policy/compile.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { permits } from '../../policy/permits.ts';
import { tableOf } from '../../policy/table.ts';
import type { Packet } from '../../policy/types.ts';
import {
  naive,
  type Probe,
  type RawLabels,
  type RawNamespace,
  type RawPod,
  type RawPolicy,
  type World,
} from './naive.ts';
import { hooks, simulate } from './simulate.ts';
import { NODES, toCluster } from './world.ts';

export type PodOptions = {
  readonly labels?: RawLabels;
  readonly node?: number;
  readonly ports?: RawPod['spec']['containers'][number]['ports'];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  readonly terminating?: boolean;
};

/** `ns/name` at `10.42.NODE.host` and `fd42:0:0:NODE+1::host`. */
export function podOf(key: string, host: number, options: PodOptions = {}): RawPod {
  const [namespace = '', name = ''] = key.split('/');
  const { node = 0, labels = { app: name }, ports = [], hostNetwork = false, phase = 'Running' } = options;
  const own = [`10.42.${node}.${host}`, `fd42:0:0:${node + 1}::${host.toString(16)}`];
  return {
    metadata: {
      namespace,
      name,
      uid: key,
      labels,
      ...(options.terminating && { deletionTimestamp: '2026-11-24T00:00:00Z' }),
    },
    spec: { nodeName: `n${node}`, hostNetwork, containers: [{ ports }] },
    status: { phase, podIPs: (hostNetwork ? (NODES[node]?.addresses ?? []) : own).map(ip => ({ ip })) },
  };
}

export const policyOf = (key: string, spec: RawPolicy['spec']): RawPolicy => {
  const [namespace = '', name = ''] = key.split('/');
  return { metadata: { namespace, name }, spec };
};

const namespaceOf = (name: string, labels: RawLabels = {}): RawNamespace => ({
  metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
});

/** Namespaces are those of the pods; `labels` by namespace. */
export const worldWith = (
  pods: readonly RawPod[],
  policies: readonly RawPolicy[],
  labels: Readonly<Record<string, RawLabels>> = {},
): World => ({
  pods,
  policies,
  nodes: NODES,
  namespaces: [...new Set(pods.map(one => one.metadata.namespace))].map(name =>
    namespaceOf(name, labels[name]),
  ),
});

/** Of the first family that the pod has, or the one wanted. */
export function ip(world: World, key: string, family: 4 | 6 = 4): string {
  const pod = world.pods.find(one => `${one.metadata.namespace}/${one.metadata.name}` === key);
  return pod?.status.podIPs.map(one => one.ip).find(one => one.includes(':') === (family === 6)) ?? key;
}

type Line = `${Probe['protocol']} ${number}` | 'ICMP';

/** Asks naive, evaluate, the compiled tables and permits; `from` and `to` are pods or addresses. */
export function ask(world: World, from: string, to: string, line: Line, family: 4 | 6 = 4): boolean {
  const [protocol, port = '0'] = line.split(' ') as [Probe['protocol'], string?];
  const probe: Probe = {
    src: ip(world, from, family),
    dst: ip(world, to, family),
    protocol,
    port: Number(port),
  };
  const cluster = toCluster(world, 'n0');
  const rules = new Map(NODES.map(({ name }) => [name, newCompiler()({ ...cluster, self: name })]));
  const tables = new Map([...rules].map(([name, set]) => [name, tableOf(set)]));
  const permitted = hooks(world, probe).every(name => {
    const set = rules.get(name);
    return set !== undefined && permits(set, probe as Packet);
  });
  const answers = {
    naive: naive(world, probe),
    evaluate: evaluate(cluster, probe as Packet).allowed,
    table: simulate(world, tables, probe),
    permits: permitted,
  };
  const all = new Set(Object.values(answers));
  assert.equal(all.size, 1, `${from} to ${to}, ${line}: ${JSON.stringify(answers)}`);
  return answers.naive;
}

/** Each line: from, to, on, whether. */
export function holds(
  world: World,
  lines: readonly (readonly [from: string, to: string, line: Line, allowed: boolean, family?: 4 | 6])[],
): void {
  for (const [from, to, line, allowed, family = 4] of lines)
    assert.equal(ask(world, from, to, line, family), allowed, `${from} to ${to}, ${line}, IPv${family}`);
}

/** Two pods of x on node n0, one on n1; and one of y. */
export const A = podOf('x/a', 10);
export const B = podOf('x/b', 11, { node: 1 });
export const C = podOf('x/c', 12);
export const Y = podOf('y/a', 13, { node: 1 });
export const PODS = [A, B, C, Y];
export const OUTSIDE = '203.0.113.7';

export const app = (name: string) => ({ matchLabels: { app: name } });
export const toA = (spec: RawPolicy['spec']): RawPolicy =>
  policyOf('x/p', { podSelector: app('a'), ...spec });
