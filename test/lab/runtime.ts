/** A container runtime as the CNI binary sees it: exec, CNI_* environment, configuration on stdin, JSON on stdout. */
import { type Namespace, newPod, RunError } from './namespace.ts';

export type CniResult = {
  readonly cniVersion: string;
  readonly ips: readonly {
    readonly address: string;
    readonly gateway?: string;
    readonly interface?: number;
  }[];
  readonly interfaces: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
};

export type Pod = {
  readonly name: string;
  readonly id: string;
  readonly namespace: Namespace;
  readonly result: CniResult;
  /** Without prefix length. */
  readonly v4: string | undefined;
  readonly v6: string | undefined;
  /** Milliseconds that ADD took, exec included. */
  readonly addMs: number;
};

export type Host = { readonly namespace: Namespace; readonly binDir: string; readonly confDir: string };

/** Of whom a runtime speaks; `uid` is in CNI_ARGS where it is given. */
export type PodCall = PodName & { readonly id: string; readonly netns: string };

export type PodName = { readonly name: string; readonly namespace?: string; readonly uid?: string };

const argsOf = ({ id, name, namespace = 'default', uid }: PodCall): string =>
  [
    'IgnoreUnknown=1',
    `K8S_POD_NAMESPACE=${namespace}`,
    `K8S_POD_NAME=${name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${id}`,
    ...(uid === undefined ? [] : [`K8S_POD_UID=${uid}`]),
  ].join(';');

/** One call of the plugin; the answer parsed, or undefined where there is none. Rejects with RunError. */
export async function callPlugin(
  host: Host,
  command: string,
  pod: PodCall,
  config: Readonly<Record<string, unknown>> & { readonly type: string },
  ifname = 'eth0',
): Promise<unknown> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.id,
    CNI_NETNS: pod.netns,
    CNI_IFNAME: ifname,
    CNI_PATH: host.binDir,
    CNI_ARGS: argsOf(pod),
  };
  const binary = `${host.binDir}/${config.type}`;
  const stdout = await host.namespace.run([binary], {
    env,
    stdin: JSON.stringify(config),
    timeoutMs: 60_000,
  });
  return stdout.trim() === '' ? undefined : JSON.parse(stdout);
}

export const NETWORK = { cniVersion: '1.1.0', name: 'weft', type: 'weft-cni' } as const;

const LOOPBACK = { cniVersion: '1.0.0', name: 'cni-loopback', type: 'loopback' } as const;

const addressOf = (result: CniResult, v6: boolean): string | undefined =>
  result.ips.map(ip => ip.address.split('/')[0] as string).find(a => a.includes(':') === v6);

/** Makes a namespace and has the plugin wire it; `before` is run in it first. */
export async function addPod(
  host: Host,
  who: string | PodName,
  before: (namespace: Namespace) => Promise<void> = async () => {},
): Promise<Pod> {
  const named: PodName = typeof who === 'string' ? { name: who } : who;
  const { name } = named;
  const namespace = await newPod(host.namespace);
  const id = Buffer.from(`${name}-${namespace.pid}`).toString('hex').padEnd(64, '0').slice(0, 64);
  const call: PodCall = { ...named, id, netns: namespace.netns };
  try {
    // Every runtime runs this one first.
    await callPlugin(host, 'ADD', call, LOOPBACK, 'lo');
    await before(namespace);
    const begin = performance.now();
    const result = (await callPlugin(host, 'ADD', call, NETWORK)) as CniResult;
    const addMs = performance.now() - begin;
    return { name, id, namespace, result, v4: addressOf(result, false), v6: addressOf(result, true), addMs };
  } catch (error) {
    await namespace.end();
    throw error instanceof RunError
      ? new Error(`ADD of pod ${name}: ${error.stdout || error.message}`)
      : error;
  }
}

/** DEL, then the namespace goes, as runtimes do it. */
export async function deletePod(host: Host, pod: Pod): Promise<void> {
  await callPlugin(
    host,
    'DEL',
    { id: pod.id, name: pod.name, netns: pod.namespace.netns },
    { ...NETWORK, prevResult: pod.result },
  );
  await pod.namespace.end();
}
