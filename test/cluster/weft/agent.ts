/** weft on a cluster, as its tests look at it. */
import { archivePath, buildImage } from '../../../image/build.ts';
import type { Cluster } from '../cluster.ts';
import { inNode, kubectl, processOf } from '../pods.ts';
import { until } from '../process.ts';

/** Builds the image from the sources as they are. @returns the archive's path */
export const weftImage = async (): Promise<string> => {
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  await buildImage(arch);
  return archivePath(arch);
};

/** Of what an agent answers at /status. */
export type AgentStatus = {
  readonly ready: boolean;
  readonly gateways: readonly string[];
  readonly peers: readonly { readonly node: string; readonly state: string; readonly rttMs?: number }[];
  readonly api: { readonly connected: boolean };
  readonly cni: { readonly pools: readonly { readonly used: number }[] };
  readonly pods: readonly Lease[];
};

export type Lease = {
  readonly link: string;
  readonly ips: readonly string[];
  readonly pod?: { readonly name: string };
};

const SOCKET = '/run/weft/status.sock';

export const agentStatus = async (cluster: Cluster, node: string): Promise<AgentStatus> => {
  const argv = ['curl', '-sS', '-m5', '--unix-socket', SOCKET, 'http://agent/status'];
  return JSON.parse(await inNode(cluster, node, argv)) as AgentStatus;
};

/** Waits until the agents of all nodes are ready, connected, and have a handshake with every other. */
export const untilMeshed = async (cluster: Cluster, timeoutMs = 30_000): Promise<void> => {
  const peers = cluster.nodes.length - 1;
  for (const { name } of cluster.nodes)
    await until(`${name} meshed`, timeoutMs, async () => {
      const status = await agentStatus(cluster, name);
      const established = status.peers.filter(peer => peer.state === 'established');
      return status.ready && status.api.connected && established.length === peers;
    });
};

/** Waits until the agents are rolled out, and wireguard-go runs everywhere (an OnDelete set has no rollout). */
export const untilRolledOut = async (cluster: Cluster): Promise<void> => {
  await kubectl(cluster, ['-n', 'weft', 'rollout', 'status', 'daemonset/weft', '--timeout=90s']);
  const all = `--for=jsonpath={.status.numberReady}=${cluster.nodes.length}`;
  await kubectl(cluster, ['-n', 'weft', 'wait', all, 'daemonset/weft-wireguard', '--timeout=30s']);
};

/** Name of a DaemonSet's pod on a node. */
export const podOf = (
  cluster: Cluster,
  daemonSet: 'weft' | 'weft-wireguard',
  node: string,
): Promise<string> =>
  kubectl(cluster, [
    '--namespace=weft',
    'get',
    'pods',
    `--selector=app.kubernetes.io/name=${daemonSet}`,
    `--field-selector=spec.nodeName=${node}`,
    '--output=jsonpath={.items[0].metadata.name}',
  ]);

/** The agent's process on a node, in the node's pid namespace; the API server must answer. */
export const agentProcess = async (cluster: Cluster, node: string): Promise<number> =>
  (await processOf(cluster, ['-n', 'weft', await podOf(cluster, 'weft', node)])).pid;

/** Kills an agent as kill -9 does and waits until another process of it serves. */
export const killAgent = async (cluster: Cluster, node: string, pid: number): Promise<void> => {
  await inNode(cluster, node, ['kill', '-9', String(pid)]);
  await until(`end of ${node}'s agent`, 5000, async () => {
    const { code } = await cluster.exec(node, ['kill', '-0', String(pid)]);
    return code !== 0;
  });
};

export type Calls = {
  /** `VERB CODE` of each call so far, in order. */
  readonly read: () => Promise<readonly string[]>;
  readonly end: () => Promise<void>;
};

const WATCH = `mkdir -p /run/calls; touch /run/calls/log; cp /opt/cni/bin/weft-cni /run/calls/
printf '%s\\n' '#!/bin/sh' "$CALL" 'echo "$CNI_COMMAND $code" >> /run/calls/log; exit $code' > /run/calls/watch
chmod 755 /run/calls/watch; mount --bind /run/calls/watch /opt/cni/bin/weft-cni`;

/**
 * Writes down the runtime's calls of the CNI binary on a node. The agent's own mounts do not show what is done here.
 * `call`: shell that runs the binary, now /run/calls/weft-cni, and leaves its status in `code`.
 */
export const watchCalls = async (
  cluster: Cluster,
  node: string,
  call = '/run/calls/weft-cni; code=$?',
): Promise<Calls> => {
  const made = await cluster.exec(node, ['sh', '-euc', WATCH], { env: { CALL: call } });
  if (made.code !== 0) throw new Error(made.stderr);
  return {
    read: async () => (await inNode(cluster, node, ['cat', '/run/calls/log'])).split('\n').filter(Boolean),
    end: async () => void (await inNode(cluster, node, ['umount', '/opt/cni/bin/weft-cni'])),
  };
};

const ASK_STATUS = `set -m; while sleep 0.2; do echo '{"cniVersion":"1.1.0","name":"weft","type":"weft-cni"}' |
  CNI_COMMAND=STATUS CNI_PATH=/opt/cni/bin /opt/cni/bin/weft-cni > /dev/null; echo $? >> /run/status-codes; done > /dev/null &
  echo $!`;

/**
 * Asks STATUS five times a second on a node, by hand: an agent that starts would see what watchCalls puts in the
 * binary's place. @returns what ends it and gives the exit statuses, in order
 */
export const askStatus = async (
  cluster: Cluster,
  node: string,
): Promise<() => Promise<readonly string[]>> => {
  const pid = await inNode(cluster, node, [
    'bash',
    '--norc',
    '-c',
    `(${ASK_STATUS}) 2> /dev/null < /dev/null`,
  ]);
  return async () => {
    await inNode(cluster, node, ['bash', '--norc', '-c', `kill -- -${pid.trim()}`]);
    return (await inNode(cluster, node, ['cat', '/run/status-codes'])).split('\n');
  };
};

/** Since when each node has been in its present state of readiness: it changes with every NotReady in between. */
export const readiness = async (cluster: Cluster): Promise<readonly string[]> => {
  const ready = '{.status.conditions[?(@.type=="Ready")]';
  const path = `{range .items[*]}{.metadata.name} ${ready}.status} ${ready}.lastTransitionTime}{"\\n"}{end}`;
  return (await kubectl(cluster, ['get', 'nodes', '-o', `jsonpath=${path}`])).split('\n');
};
