import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CONTROL } from './addresses.ts';
import { ensureBuilt, linkBinaries } from './build.ts';
import { installBridgeCni, untilPodCidrs } from './cni-bridge.ts';
import { FLANNEL_RIGHTS, startFlannel } from './cni-flannel.ts';
import {
  ADMIN_TOKEN,
  CONTROL_ROLE,
  killApiServer,
  kubectlArgv,
  makeClusterPki,
  startApi,
  startApiServer,
  startControllers,
} from './control-plane.ts';
import { start } from './daemons.ts';
import { dnsManifest } from './dns.ts';
import { ensureDnsImage, ensureImages } from './images.ts';
import { likeK3s } from './k3s.ts';
import { DEFAULT_NAME, type Layout, layout, netnsPath } from './layout.ts';
import { makeHost, makeUnderlay } from './netns.ts';
import {
  type ClusterNode,
  describeNode,
  execInNode,
  importInto,
  makeNode,
  restartRuntime,
  startAgents,
  startRuntime,
} from './node.ts';
import type { ProxyMode } from './node-config.ts';
import { CLUSTER_TARGETS, clusterUnavailable } from './packages.ts';
import { type Output, type RunOptions, run, until } from './process.ts';
import { rebootNode } from './reboot.ts';
import { exists, GUARD_ROLE, tearDown } from './teardown.ts';

export type ClusterOptions = {
  /** `weft-…`; tells apart clusters that run at the same time. Default weft-cluster. */
  readonly name?: string;
  /** Default 3, at most 9. */
  readonly nodes?: number;
  readonly proxyMode?: ProxyMode;
  /**
   * `bridge`: the reference plugins with static routes. `flannel`: as k3s runs it, until `/etc/rancher/k3s/config.yaml`
   * on node1 says otherwise and a node is started again. `none` (default): nodes stay NotReady.
   */
  readonly cni?: 'none' | 'bridge' | 'flannel';
  /** OCI archives to import on every node, beside pause and agnhost. */
  readonly images?: readonly string[];
  /** Manifests to apply once all nodes are registered; paths or URLs as `kubectl apply -f` takes them. */
  readonly manifests?: readonly string[];
  /** CoreDNS too; built when first asked for, about 3 minutes of processor time. */
  readonly dns?: boolean;
  /** End with this process, however it ends (default); false: stay until `stop` or `npm run cluster -- down`. */
  readonly endWithProcess?: boolean;
  /** Leave a cluster that did not come up as it is, for a look at its logs. */
  readonly keepFailed?: boolean;
  readonly log?: (line: string) => void;
};

export type Cluster = {
  readonly name: string;
  /** The administrator's; its server is reachable from the underlay only, so prefer `kubectl`. */
  readonly kubeconfig: string;
  readonly nodes: readonly ClusterNode[];
  /** Network namespaces for `nsenter --net=`: the bridge all traffic crosses (captures), and the control plane. */
  readonly underlayNetns: string;
  readonly controlNetns: string;
  /** Folder of one log per program: `node1.kubelet.log`, `kube-apiserver.log`. */
  readonly logs: string;
  /** kubectl as the administrator. Resolves whatever the exit code is. */
  readonly kubectl: (args: readonly string[], options?: RunOptions) => Promise<Output>;
  /** Runs a program in all namespaces of a node. Resolves whatever the exit code is. */
  readonly exec: (node: string, argv: readonly string[], options?: RunOptions) => Promise<Output>;
  /** Imports an OCI archive on every node. */
  readonly importImage: (path: string) => Promise<void>;
  /** Kills the API server as kill -9 does. */
  readonly killApi: () => Promise<void>;
  /** Starts it again and waits until it is ready. */
  readonly startApi: () => Promise<void>;
  /** Loses a node's power and starts it again; what is on its disk stays. */
  readonly reboot: (node: string) => Promise<void>;
  /** Kills a node's containerd and starts it again. */
  readonly restartRuntime: (node: string) => Promise<void>;
  /** Waits until every node is Ready. @throws Error after `timeoutMs`, default 120 000. */
  readonly nodesReady: (timeoutMs?: number) => Promise<void>;
  /** Removes everything. */
  readonly stop: () => Promise<void>;
};

const nodesFile = (at: Layout): string => join(at.run, 'nodes.json');

const readyNodes = async (cluster: Pick<Cluster, 'kubectl'>): Promise<number> => {
  const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}';
  const { stdout } = await cluster.kubectl(['get', 'nodes', '-o', `jsonpath=${path}`]);
  return stdout.split('\n').filter(status => status === 'True').length;
};

const handle = (at: Layout, nodes: readonly ClusterNode[], mode: ProxyMode = 'nftables'): Cluster => {
  const kubectl = (args: readonly string[], options?: RunOptions) => run(kubectlArgv(at, args), options);
  return {
    name: at.name,
    kubeconfig: join(at.pki, 'admin.conf'),
    nodes,
    underlayNetns: netnsPath(at, 'underlay'),
    controlNetns: netnsPath(at, CONTROL_ROLE),
    logs: at.logs,
    kubectl,
    exec: (node, argv, options) => execInNode(at, node, argv, options),
    importImage: async path => {
      await Promise.all(nodes.map(node => importInto(at, node.name, [resolve(path)])));
    },
    nodesReady: async (timeoutMs = 120_000) => {
      await until(
        'all nodes Ready',
        timeoutMs,
        async () => (await readyNodes({ kubectl })) === nodes.length,
        300,
      );
    },
    killApi: () => killApiServer(at),
    startApi: () => startApiServer(at),
    reboot: async name => {
      const node = nodes.find(one => one.name === name);
      if (node === undefined) throw new Error(`there is no ${name}`);
      await rebootNode(at, node, mode);
    },
    restartRuntime: name => restartRuntime(at, name),
    stop: () => tearDown(at),
  };
};

/** The running cluster of that name, however it was started; undefined when there is none. */
export const openCluster = (name: string = DEFAULT_NAME): Cluster | undefined => {
  const at = layout(name);
  try {
    return handle(at, JSON.parse(readFileSync(nodesFile(at), 'utf8')) as readonly ClusterNode[]);
  } catch {
    return undefined;
  }
};

const registered = async (cluster: Cluster): Promise<boolean> => {
  const { stdout } = await cluster.kubectl(['get', 'nodes', '-o', 'name']);
  return stdout.split('\n').filter(Boolean).length === cluster.nodes.length;
};

const apply = async (cluster: Cluster, file: string, input = ''): Promise<void> => {
  const output = await cluster.kubectl(['apply', '-f', file], { input });
  if (output.code !== 0) throw new Error(`kubectl apply -f ${file}: ${output.stderr}`);
};

/** Removes the cluster when process `owner` is gone, which a killed one cannot do itself. */
const startGuard = (at: Layout, owner: number): void => {
  const script = 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; shift; exec "$@"';
  const down = [
    'env',
    `WEFT_CLUSTER=${at.name}`,
    process.execPath,
    join(import.meta.dirname, 'main.ts'),
    'down',
  ];
  start(at, GUARD_ROLE, ['sh', '-c', script, 'sh', String(owner), ...down]);
};

/** Builds what is missing, clears the place and makes the folders. @returns archives of the images */
const prepare = async (at: Layout, options: ClusterOptions): Promise<readonly string[]> => {
  const flannel = options.cni === 'flannel' ? (['flannel'] as const) : [];
  const folders = await ensureBuilt([...CLUSTER_TARGETS, ...flannel], options.log);
  if (options.dns) await ensureBuilt(['coredns'], options.log);
  const images = [...(await ensureImages()), ...(options.dns ? [await ensureDnsImage()] : [])];
  // A cluster of this name that was left behind, by a killed test for instance.
  if (exists(at)) await tearDown(at);
  for (const folder of [at.run, at.data]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  linkBinaries(folders, at.bin);
  if (options.cni === 'flannel') likeK3s(at);
  if (options.endWithProcess !== false) startGuard(at, process.pid);
  return images;
};

/** The machines: underlay, control plane's namespace, nodes; and everybody's papers. */
const makeMachines = async (at: Layout, nodes: readonly ClusterNode[]): Promise<void> => {
  const names = nodes.map(node => node.name);
  const papers = makeClusterPki(at, names);
  await makeUnderlay(at);
  await makeHost(at, CONTROL_ROLE, CONTROL);
  for (const node of nodes) await makeNode(at, node);
  await papers;
  writeFileSync(join(at.pki, 'tokens.csv'), `${ADMIN_TOKEN},admin,admin,system:masters\n`, { mode: 0o600 });
};

const bringUp = async (at: Layout, options: ClusterOptions, cluster: Cluster): Promise<void> => {
  const log = options.log ?? (() => undefined);
  const archives = [...(await prepare(at, options)), ...(options.images ?? []).map(path => resolve(path))];
  const { nodes } = cluster;
  log('making namespaces and certificates');
  await makeMachines(at, nodes);
  log('starting the API server and containerd, loading images');
  const runtimes = Promise.all(nodes.map(node => startRuntime(at, node.name, archives)));
  await Promise.all([startApi(at), runtimes]);
  log('starting controllers, kubelets and kube-proxies');
  startControllers(at);
  for (const node of nodes) startAgents(at, node, options.proxyMode ?? 'nftables');
  writeFileSync(nodesFile(at), JSON.stringify(nodes));
  await until('all nodes registered', 90_000, () => registered(cluster), 300);
  if (options.cni === 'bridge') await installBridgeCni(at, nodes, cluster.kubectl);
  if (options.cni === 'flannel') {
    await apply(cluster, '-', FLANNEL_RIGHTS);
    for (const { name } of nodes) {
      await untilPodCidrs(cluster.kubectl, name);
      await startFlannel(at, name);
    }
  }
  if (options.dns) await apply(cluster, '-', dnsManifest());
  for (const manifest of options.manifests ?? []) await apply(cluster, manifest);
};

/**
 * Builds what is missing and brings a cluster up; one of the same name is removed first.
 * Resolves when all nodes are registered; `nodesReady` waits for the rest.
 *
 * @throws Error with the reason when the machine cannot run one, and with a program's last lines when it failed;
 *   nothing is left then unless `keepFailed`.
 */
export const startCluster = async (options: ClusterOptions = {}): Promise<Cluster> => {
  const reason = clusterUnavailable();
  if (reason !== undefined) throw new Error(reason);
  const at = layout(options.name ?? DEFAULT_NAME);
  const count = options.nodes ?? 3;
  const cluster = handle(
    at,
    Array.from({ length: count }, (_, index) => describeNode(at, index + 1)),
    options.proxyMode,
  );
  try {
    await bringUp(at, options, cluster);
  } catch (error) {
    if (!options.keepFailed) await tearDown(at);
    throw error;
  }
  return cluster;
};
