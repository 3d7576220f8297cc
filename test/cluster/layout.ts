import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where one test cluster keeps what it makes. All names derive from the cluster's name, so `down` needs no memory. */
export type Layout = {
  readonly name: string;
  /** Small state: process ids, node list, kubeconfigs. */
  readonly run: string;
  /** Everything large: containers, volumes, etcd, logs. Must not lie in a folder that nodes overlay. */
  readonly data: string;
  readonly bin: string;
  readonly pki: string;
  readonly logs: string;
};

export const DEFAULT_NAME = 'weft-cluster';

/** Names become namespaces, cgroups and folders that are removed recursively: only harmless ones. */
const NAME = /^weft-[a-z0-9][a-z0-9-]{0,40}$/;

/** @throws Error when the name is not of the form `weft-…` in lower case letters, digits and dashes. */
export const layout = (name: string): Layout => {
  if (!NAME.test(name))
    throw new Error(`cluster name must match ${NAME.source}, got ${JSON.stringify(name)}`);
  const data = `/var/tmp/${name}`;
  return {
    name,
    run: `/run/${name}`,
    data,
    bin: join(data, 'bin'),
    pki: join(data, 'pki'),
    logs: join(data, 'logs'),
  };
};

/** Name of a network namespace of the cluster; `ip netns` knows it by this name. */
export const netnsName = (at: Layout, role: string): string => `${at.name}.${role}`;

export const netnsPath = (at: Layout, role: string): string => `/run/netns/${netnsName(at, role)}`;

/** Built binaries and images, kept between runs. */
export const cacheRoot = (): string =>
  join(process.env.WEFT_CACHE ?? join(homedir(), '.cache', 'weft'), 'cluster');

/** Twelve hex digits that name a set of inputs. */
export const digest = (...parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 12);
