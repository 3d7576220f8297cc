import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import { until } from './process.ts';

/** One mounted cgroup hierarchy of the machine. */
type Hierarchy = { readonly path: string; readonly version: 1 | 2 };

/** On a machine with version 1 the version 2 hierarchy, if any, has no controllers and is left alone. */
const hierarchies = (): readonly Hierarchy[] => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' '));
  const paths = (type: string) => mounts.filter(m => m[2] === type && m[1]?.startsWith('/sys/fs/cgroup'));
  const first = paths('cgroup').map(m => ({ path: m[1] ?? '', version: 1 }) as const);
  return first.length > 0 ? first : paths('cgroup2').map(m => ({ path: m[1] ?? '', version: 2 }) as const);
};

/** A new cpuset is empty, and nothing may enter an empty one. */
const fillCpuset = (parent: string, child: string): void => {
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    if (existsSync(join(parent, file)))
      writeFileSync(join(child, file), readFileSync(join(parent, file), 'utf8').trim());
};

/** Hands every controller of `folder` down to its children; version 2 only. */
const delegate = (folder: string): void => {
  for (const name of readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim().split(' '))
    if (name !== '') writeFileSync(join(folder, 'cgroup.subtree_control'), `+${name}`);
};

const makeBelow = (hierarchy: Hierarchy, parent: string, name: string): string => {
  const child = join(parent, name);
  if (hierarchy.version === 2) delegate(parent);
  mkdirSync(child, { recursive: true });
  if (hierarchy.version === 1) fillCpuset(parent, child);
  return child;
};

/** Makes a cgroup for the node in every hierarchy. @returns their folders */
export const makeCgroups = (at: Layout, node: string): readonly string[] =>
  hierarchies().map(h => makeBelow(h, makeBelow(h, h.path, at.name), node));

/**
 * Where processes that join a node later go. In version 2 a cgroup with children may hold no process, so
 * the node's own processes sit in a child, as node-init.sh puts them.
 */
const leaves = (at: Layout, node: string): readonly string[] =>
  hierarchies().map(h => join(h.path, at.name, node, h.version === 2 ? 'init' : ''));

const enter = (folders: readonly string[], argv: readonly string[]): readonly string[] => {
  const moves = folders.map(folder => `echo $$ > ${join(folder, 'cgroup.procs')}`);
  return ['sh', '-euc', [...moves, 'exec "$@"'].join('\n'), 'sh', ...argv];
};

/** argv that enters the cgroups that makeCgroups has returned and becomes `argv`. */
export const inNewCgroups = enter;

/** argv that enters the cgroups of a running node and becomes `argv`. */
export const inCgroups = (at: Layout, node: string, argv: readonly string[]): readonly string[] =>
  enter(leaves(at, node), argv);

const removeTree = (folder: string): void => {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
};

/** Removes the cgroups of the cluster, or of one node; its processes must have ended. Waits up to 10 s for the kernel to let go. */
export const removeCgroups = async (at: Layout, node = ''): Promise<void> => {
  for (const { path } of hierarchies()) {
    const folder = join(path, at.name, node);
    await until(`removal of ${folder}`, 10_000, () => {
      if (existsSync(folder)) removeTree(folder);
      return true;
    });
  }
};
