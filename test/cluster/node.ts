import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { nodeEnds } from './addresses.ts';
import { inCgroups, inNewCgroups, makeCgroups } from './cgroups.ts';
import { alive, type Daemon, logTail, note, noted, start } from './daemons.ts';
import { ensurePause } from './images.ts';
import { cniDirs } from './k3s.ts';
import { type Layout, netnsPath } from './layout.ts';
import { makeHost } from './netns.ts';
import { containerdConfig, kubeletConfig, type ProxyMode, proxyConfig } from './node-config.ts';
import { must, type Output, type RunOptions, run, until } from './process.ts';

/** A node as the test sees it. */
export type ClusterNode = {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Path of its network namespace, for `nsenter --net=`. */
  readonly netns: string;
};

export const describeNode = (at: Layout, index: number): ClusterNode => {
  const name = `node${index}`;
  return { name, ...nodeEnds(index), netns: netnsPath(at, name) };
};

/** The node's folder on the machine; the same path inside the node. */
export const nodeFolder = (at: Layout, node: string): string => join(at.data, node);

const initRole = (node: string): string => `${node}.init`;

/** Host's process id of the node's pid 1. @throws Error when the node does not run. */
const initOf = (at: Layout, node: string): Daemon => {
  const init = noted(at).find(daemon => daemon.role === initRole(node) && alive(daemon));
  if (init === undefined) throw new Error(`${node} does not run`);
  return init;
};

/** argv that runs in all namespaces and cgroups of a node. */
const enterNode = (at: Layout, node: string, argv: readonly string[]): readonly string[] => {
  const { pid } = initOf(at, node);
  const enter = [
    'nsenter',
    `--target=${pid}`,
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    '--pid',
    '--cgroup',
    '--wd=/',
  ];
  return inCgroups(at, node, [...enter, ...argv]);
};

const nodePath = (at: Layout): Readonly<Record<string, string>> => ({
  PATH: `${at.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
});

/** Runs a program inside a node to its end. */
export const execInNode = (
  at: Layout,
  node: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Output> =>
  run(enterNode(at, node, argv), { ...options, env: { ...nodePath(at), ...options.env } });

/** Starts a program inside a node that ends with the node. */
export const startInNode = (at: Layout, node: string, argv: readonly string[]): Daemon =>
  start(at, `${node}.${basename(argv[0] ?? '')}`, enterNode(at, node, argv));

/** Id of the only child of a process. @throws Error when it has none. */
const childOf = (pid: number): number => {
  const isChild = (id: string): boolean => {
    try {
      const stat = readFileSync(`/proc/${id}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(pid);
    } catch {
      return false;
    }
  };
  const child = readdirSync('/proc').find(id => /^\d+$/.test(id) && isChild(id));
  if (child === undefined) throw new Error(`process ${pid} has no child`);
  return Number(child);
};

/** Makes the node's namespaces, mounts and cgroups; its pid 1 is the pause program. */
export const makeNode = async (at: Layout, node: ClusterNode): Promise<void> => {
  const { name } = node;
  const folder = nodeFolder(at, name);
  mkdirSync(folder, { recursive: true });
  await makeHost(at, name, node);
  const namespaces = ['--mount', '--uts', '--ipc', '--cgroup', '--pid', '--fork', '--kill-child'];
  const init = ['sh', join(import.meta.dirname, 'node-init.sh'), folder, name, await ensurePause()];
  const inside = ['nsenter', `--net=${node.netns}`, 'unshare', ...namespaces, ...init];
  const parent = start(at, `${name}.unshare`, inNewCgroups(makeCgroups(at, name), inside));
  await until(`${name} made`, 20_000, () => !alive(parent) || isReady(folder), 20);
  if (!alive(parent)) throw new Error(`${name}: node-init.sh failed\n${logTail(at, parent.role)}`);
  note(at, initRole(name), childOf(parent.pid));
};

const isReady = (folder: string): boolean => {
  try {
    return readFileSync(join(folder, 'ready'), 'utf8') === '';
  } catch {
    return false;
  }
};

const IMPORT = ['ctr', '-n', 'k8s.io', 'images', 'import', '-'] as const;

/** Imports OCI archives into a node's containerd, one after another. Paths are the machine's. */
export const importInto = async (at: Layout, node: string, archives: readonly string[]): Promise<void> => {
  for (const archive of archives) {
    // Opened out here: the node has a /tmp and a /run of its own.
    const argv = ['sh', '-euc', 'archive=$1; shift; exec "$@" < "$archive"', 'sh', archive];
    await must([...argv, ...enterNode(at, node, IMPORT)], { timeoutMs: 120_000, env: nodePath(at) });
  }
};

/** Kills containerd as kill -9 does, and starts it again; containers live on. */
export const restartRuntime = async (at: Layout, node: string): Promise<void> => {
  const entered = noted(at).find(daemon => daemon.role === `${node}.containerd`);
  if (entered === undefined) throw new Error(`${node}: containerd does not run`);
  // What is noted entered the node's pid namespace; containerd itself is its child.
  process.kill(childOf(entered.pid), 'SIGKILL');
  await until(`end of ${entered.role}`, 10_000, () => !alive(entered), 20);
  await startRuntime(at, node, []);
};

/** Starts containerd and loads images; needs no API server. */
export const startRuntime = async (at: Layout, node: string, archives: readonly string[]): Promise<void> => {
  const config = join(nodeFolder(at, node), 'containerd.toml');
  writeFileSync(config, containerdConfig(cniDirs(at)));
  startInNode(at, node, ['containerd', '--config', config]);
  const answers = async () =>
    (await execInNode(at, node, ['ctr', 'version'], { timeoutMs: 5000 })).code === 0;
  await until(`${node}: containerd`, 30_000, answers).catch((error: Error) => {
    throw new Error(`${error.message}\n${logTail(at, `${node}.containerd`)}`);
  });
  await importInto(at, node, archives);
};

/** Starts kubelet and kube-proxy; the API server must answer. */
export const startAgents = (at: Layout, node: ClusterNode, mode: ProxyMode): void => {
  const { name, ipv4, ipv6 } = node;
  const file = (base: string, text: string): string => {
    const path = join(nodeFolder(at, name), base);
    writeFileSync(path, text);
    return path;
  };
  const config = file('kubelet.json', kubeletConfig(at.pki));
  startInNode(at, name, [
    'kubelet',
    `--config=${config}`,
    `--kubeconfig=${at.pki}/${name}.conf`,
    `--hostname-override=${name}`,
    `--node-ip=${ipv4},${ipv6}`,
  ]);
  const proxy = file('kube-proxy.json', proxyConfig(`${at.pki}/kube-proxy.conf`, name, mode));
  startInNode(at, name, ['kube-proxy', `--config=${proxy}`]);
};
