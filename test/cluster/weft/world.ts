/** A cluster with weft and nine pods on it, three a node. */
import type { Cluster } from '../cluster.ts';
import { kubectl, makePods, type TestPod } from '../pods.ts';
import { type Output, run } from '../process.ts';

export type World = {
  readonly cluster: Cluster;
  readonly pods: readonly TestPod[];
  /** One on each node. */
  readonly first: TestPod;
  readonly second: TestPod;
  readonly third: TestPod;
  /** kubectl that must succeed. */
  readonly must: (args: readonly string[], input?: string) => Promise<string>;
  readonly inPod: (pod: string, argv: readonly string[]) => Promise<string>;
  /** Words that a jsonpath gives. */
  readonly list: (kind: string, name: string, path: string) => Promise<readonly string[]>;
  /** Runs a program on a host of the underlay that is no node. */
  readonly outside: (argv: readonly string[]) => Promise<Output>;
};

export const url = (ip: string, port: number | string, path: string): string =>
  `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/${path}`;

/** One line per URL: what it answers, or curl's complaint. */
export const ASK = ['bash', '-c', 'for u in "$@"; do curl -gsS -m8 "$u" 2>&1; echo; done', 'bash'] as const;

/** Makes the pods. The nodes must be Ready. */
export const makeWorld = async (cluster: Cluster): Promise<World> => {
  const must = (args: readonly string[], input = '') => kubectl(cluster, args, input);
  // The account is the controller manager's to make, and pods need it.
  await must(['wait', '--for=create', 'serviceaccount/default', '--timeout=30s']);
  const places = cluster.nodes.flatMap(({ name }) =>
    ['a', 'b', 'c'].map(letter => [`${name}-${letter}`, name] as const),
  );
  const pods = await makePods(cluster, Object.fromEntries(places));
  const [first, second, third] = pods.filter(pod => pod.name.endsWith('-a'));
  if (!first || !second || !third) throw new Error('three nodes are needed');
  return {
    cluster,
    pods,
    first,
    second,
    third,
    must,
    inPod: (pod, argv) => must(['exec', pod, '--', ...argv]),
    list: async (kind, name, path) => (await must(['get', kind, name, '-o', `jsonpath=${path}`])).split(' '),
    outside: argv => run(['nsenter', `--net=${cluster.underlayNetns}`, ...argv]),
  };
};
