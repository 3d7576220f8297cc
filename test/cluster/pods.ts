/** Test pods on a cluster: agnhost's netexec, each on the node that the test names. */
import type { Cluster } from './cluster.ts';
import { AGNHOST_IMAGE } from './images.ts';
import { failureOf } from './process.ts';

/** A running pod. */
export type TestPod = {
  readonly name: string;
  readonly node: string;
  /** One per family, IPv4 first. */
  readonly ips: readonly string[];
  /** Of its first container, in the node's pid namespace. */
  readonly pid: number;
};

/** kubectl that must succeed. @throws Error with what it said */
export const kubectl = async (cluster: Cluster, args: readonly string[], input = ''): Promise<string> => {
  const output = await cluster.kubectl(args, { input, timeoutMs: 150_000 });
  if (output.code !== 0) throw new Error(failureOf(['kubectl', ...args], output));
  return output.stdout.trim();
};

/** A program in a node that must succeed. @throws Error with what it said */
export const inNode = async (cluster: Cluster, node: string, argv: readonly string[]): Promise<string> => {
  const output = await cluster.exec(node, argv);
  if (output.code !== 0) throw new Error(failureOf([node, ...argv], output));
  return output.stdout.trim();
};

/** A node's ping. @throws Error where none of three is answered: a busy machine may lose one */
export const pingFrom = (cluster: Cluster, node: string, ip: string): Promise<string> =>
  inNode(cluster, node, ['ping', '-c3', '-i0.2', '-W2', '-q', ip]);

/** A program in the namespaces that a pod has of its own on its node, with the node's files and without kubelet. */
export const inPodNetns = (pod: TestPod, argv: readonly string[]): readonly string[] => [
  'nsenter',
  `--target=${pod.pid}`,
  '--net',
  ...argv,
];

const manifestOf = (name: string, node: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'echo', pod: name } },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'echo', image: AGNHOST_IMAGE, args: ['netexec', '--http-port=8080'] }],
  },
});

type PodObject = {
  readonly spec: { readonly nodeName: string };
  readonly status: {
    readonly podIPs: readonly { readonly ip: string }[];
    readonly containerStatuses: readonly { readonly containerID: string }[];
  };
};

/** Process ids of all containers of a node by container id, as its containerd says. */
const tasksOf = async (cluster: Cluster, node: string): Promise<ReadonlyMap<string, number>> => {
  const table = await inNode(cluster, node, ['ctr', '-n', 'k8s.io', 'tasks', 'ls']);
  const rows = table.split('\n').map(line => line.trim().split(/\s+/));
  return new Map(rows.map(([id = '', pid]) => [id, Number(pid)]));
};

/** Process of a pod's first container, in the node's pid namespace. */
export const processOf = async (
  cluster: Cluster,
  args: readonly string[],
): Promise<{ readonly node: string; readonly ips: readonly string[]; readonly pid: number }> => {
  const { spec, status } = JSON.parse(
    await kubectl(cluster, ['get', 'pod', ...args, '-o', 'json']),
  ) as PodObject;
  const id = status.containerStatuses[0]?.containerID.replace('containerd://', '') ?? '';
  const pid = (await tasksOf(cluster, spec.nodeName)).get(id);
  if (pid === undefined) throw new Error(`${args.join(' ')}: ${spec.nodeName} runs no container ${id}`);
  return { node: spec.nodeName, ips: status.podIPs.map(({ ip }) => ip), pid };
};

/** Makes pods, given as names and nodes, and waits until all are Ready. */
export const makePods = async (
  cluster: Cluster,
  places: Readonly<Record<string, string>>,
): Promise<readonly TestPod[]> => {
  const items = Object.entries(places).map(([name, node]) => manifestOf(name, node));
  await kubectl(cluster, ['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const names = Object.keys(places);
  const pods = names.map(name => `pod/${name}`);
  await kubectl(cluster, ['wait', '--for=condition=Ready', '--timeout=90s', ...pods]);
  return Promise.all(names.map(async name => ({ name, ...(await processOf(cluster, [name])) })));
};
