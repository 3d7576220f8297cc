/** A node's runtime as operators call it: crictl on the node, and no kubelet in between. */
import { join } from 'node:path';
import { targetFolder } from '../build.ts';
import type { Cluster } from '../cluster.ts';
import { CONTAINERD_SOCKET } from '../node-config.ts';
import type { TestPod } from '../pods.ts';
import { failureOf, type Output } from '../process.ts';

/** Of the CRI's PodSandboxConfig, in its own words. */
export type SandboxConfig = {
  readonly hostname?: string;
  readonly dns_config?: { readonly servers: readonly string[]; readonly searches: readonly string[] };
  readonly port_mappings?: readonly { readonly container_port: number; readonly host_port: number }[];
  readonly linux?: { readonly sysctls?: Readonly<Record<string, string>> };
};

export type Sandbox = TestPod & {
  readonly id: string;
  /** Path of its network namespace on the node. */
  readonly netns: string;
};

export type Crictl = {
  /** Resolves whatever the exit code is. */
  readonly call: (args: readonly string[]) => Promise<Output>;
  /** Rejects with what it said. */
  readonly must: (args: readonly string[]) => Promise<string>;
  /** Of a sandbox that need not come to be: crictl's own answer. */
  readonly tryRun: (name: string, config?: SandboxConfig) => Promise<Output>;
  readonly run: (name: string, config?: SandboxConfig) => Promise<Sandbox>;
  readonly inspect: (id: string) => Promise<Sandbox>;
  /** Makes and starts a container in a sandbox of `run`. @returns its id */
  readonly start: (sandbox: Sandbox, container: object) => Promise<string>;
  /** Ids of the sandboxes that were made here, whatever their state. */
  readonly list: () => Promise<readonly string[]>;
};

const NAMESPACE = 'cri';
const FOLDER = '/run/crictl';

/** Its own limit is 2 s, twice of which a call may take. */
const PATIENCE = '--timeout=60s';

type Inspected = {
  readonly status: {
    readonly metadata: { readonly name: string };
    readonly network: { readonly ip: string; readonly additionalIps?: readonly { readonly ip: string }[] };
  };
  readonly info: {
    readonly pid: number;
    readonly runtimeSpec: {
      readonly linux: { readonly namespaces: readonly { readonly type: string; readonly path?: string }[] };
    };
  };
};

const sandboxOf = (id: string, node: string, { status, info }: Inspected): Sandbox => ({
  id,
  node,
  name: status.metadata.name,
  ips: [status.network.ip, ...(status.network.additionalIps ?? []).map(({ ip }) => ip)],
  pid: info.pid,
  netns: info.runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')?.path ?? '',
});

/** The target must be built. */
export const crictlOn = (cluster: Cluster, node: string): Crictl => {
  const program = join(targetFolder('crictl'), 'crictl');
  const base = [program, '--config=/dev/null', `--runtime-endpoint=unix://${CONTAINERD_SOCKET}`, PATIENCE];

  const call = (args: readonly string[]) => cluster.exec(node, [...base, ...args], { timeoutMs: 90_000 });

  const must = async (args: readonly string[]): Promise<string> => {
    const output = await call(args);
    if (output.code !== 0) throw new Error(failureOf(['crictl', ...args], output));
    return output.stdout.trim();
  };

  const put = async (name: string, content: object): Promise<string> => {
    const path = `${FOLDER}/${name}.json`;
    const script = `mkdir -p ${FOLDER}; cat > ${path}`;
    await cluster.exec(node, ['sh', '-euc', script], { input: JSON.stringify(content) });
    return path;
  };

  const tryRun = async (name: string, config: SandboxConfig = {}): Promise<Output> => {
    const metadata = { name, namespace: NAMESPACE, uid: `${name}-uid`, attempt: 0 };
    return call(['runp', await put(name, { linux: {}, ...config, metadata, log_directory: FOLDER })]);
  };

  const inspect = async (id: string): Promise<Sandbox> =>
    sandboxOf(id, node, JSON.parse(await must(['inspectp', id])) as Inspected);

  return {
    call,
    must,
    tryRun,
    run: async (name, config) => {
      const output = await tryRun(name, config);
      if (output.code !== 0) throw new Error(failureOf(['crictl', 'runp', name], output));
      return inspect(output.stdout.trim());
    },
    inspect,
    start: async ({ id, name }, container) => {
      const file = await put(`${name}-container`, container);
      const made = await must(['create', '--no-pull', id, file, `${FOLDER}/${name}.json`]);
      return must(['start', made]);
    },
    list: async () => (await must(['pods', '--quiet', '--namespace', NAMESPACE])).split('\n').filter(Boolean),
  };
};
