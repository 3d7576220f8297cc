/** One plugin on one host, with pods to wire. */
import { join } from 'node:path';
import { type Namespace, newPod } from '../lab/namespace.ts';
import { type Done, type Driver, startDriver } from './driver.ts';
import { serviceTable } from './services.ts';

export type Side = {
  readonly driver: Driver;
  readonly pods: readonly Namespace[];
  readonly binary: string;
  readonly config: unknown;
};

let serial = 0;

export const newId = (): string => {
  serial += 1;
  return `bench${serial}-`.padEnd(64, 'c');
};

/** Pods beforehand: making a namespace takes longer than wiring it. */
export async function newSide(
  host: Namespace,
  binary: string,
  config: unknown,
  options: { readonly pods: number; readonly services: number },
): Promise<Side> {
  if (options.services > 0) await host.run(['nft', '-f', '-'], { stdin: serviceTable(options.services) });
  const pods: Namespace[] = [];
  while (pods.length < options.pods)
    pods.push(...(await Promise.all(Array.from({ length: 10 }, () => newPod(host)))));
  return { driver: startDriver(host), pods, binary, config };
}

/** Rejects where the plugin refuses. */
export async function call(side: Side, command: string, id: string, pod: Namespace): Promise<Done> {
  const done = await side.driver.run({
    file: side.binary,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: join(side.binary, '..'),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id.slice(0, 12)}`,
    },
    stdin: JSON.stringify(side.config),
  });
  if (done.code !== 0) throw new Error(`${side.binary} ${command}: exit ${done.code}: ${done.stdout}`);
  return done;
}
