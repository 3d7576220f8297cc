/** One chain of plugins on one host, with pods to wire. */
import { dirname } from 'node:path';
import { type Namespace, newPod } from '../lab/namespace.ts';
import { until } from '../lab/wait.ts';
import { type Done, type Driver, startDriver } from './driver.ts';
import { serviceTable } from './services.ts';

export type Plugin = {
  readonly binary: string;
  /** Without `cniVersion` and `name`, which are the list's. */
  readonly config: Readonly<Record<string, unknown>>;
};

/** What a runtime has in its configuration directory. */
export type List = {
  readonly title: string;
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Plugin[];
};

export type Side = {
  readonly host: Namespace;
  readonly driver: Driver;
  readonly pods: readonly Namespace[];
  readonly list: List;
  /** Results of those that were added, as a runtime keeps them. */
  readonly results: Map<string, unknown>;
};

let serial = 0;

export const newId = (): string => {
  serial += 1;
  return `bench${serial}-`.padEnd(64, 'c');
};

/** What Kubernetes calls a side's pods. */
export const podName = (n: number): string => `bench${n}`;

/** Pods beforehand: making a namespace takes longer than wiring it. */
export async function newSide(
  host: Namespace,
  list: List,
  options: { readonly pods: number; readonly services: number },
): Promise<Side> {
  if (options.services > 0) await host.run(['nft', '-f', '-'], { stdin: serviceTable(options.services) });
  const pods: Namespace[] = [];
  while (pods.length < options.pods)
    pods.push(...(await Promise.all(Array.from({ length: 10 }, () => newPod(host)))));
  return { host, driver: startDriver(host), pods, list, results: new Map() };
}

/** weft answers DEL before the kernel has taken the links away; resolves when it has. */
export const settled = (side: Side): Promise<true> =>
  until(
    'links to be gone',
    async () => !/^\d+: (wv|veth)/m.test(await side.host.run(['ip', '-o', 'link'])) || undefined,
    60_000,
    20,
  );

async function callOne(
  { driver, list, pods }: Side,
  plugin: Plugin,
  command: string,
  id: string,
  pod: Namespace,
  prevResult: unknown,
): Promise<Done> {
  const { cniVersion, name } = list;
  const done = await driver.run({
    file: plugin.binary,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: dirname(plugin.binary),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${podName(pods.indexOf(pod))}`,
    },
    stdin: JSON.stringify({
      ...plugin.config,
      cniVersion,
      name,
      ...(prevResult !== undefined && { prevResult }),
    }),
  });
  if (done.code !== 0) throw new Error(`${plugin.binary} ${command}: exit ${done.code}: ${done.stdout}`);
  return done;
}

/** The whole chain as libcni calls it: DEL from behind. Milliseconds of all; rejects where a plugin refuses. */
export async function call(side: Side, command: string, id: string, pod: Namespace): Promise<number> {
  const plugins = command === 'DEL' ? side.list.plugins.toReversed() : side.list.plugins;
  let result = side.results.get(id);
  let ms = 0;
  for (const plugin of plugins) {
    const done = await callOne(side, plugin, command, id, pod, result);
    ms += done.ms;
    if (command === 'ADD') result = JSON.parse(done.stdout);
  }
  if (command === 'ADD') side.results.set(id, result);
  if (command === 'DEL') side.results.delete(id);
  return ms;
}
