import { existsSync, readdirSync, rmSync } from 'node:fs';
import { removeCgroups } from './cgroups.ts';
import { alive, end, noted } from './daemons.ts';
import { type Layout, layout } from './layout.ts';
import { netnsPids, ownNetns, removeNetns } from './netns.ts';
import { until } from './process.ts';

/** Role of the process that removes a cluster when its owner is gone. */
export const GUARD_ROLE = 'guard';

/** Nodes end with their pid 1; the rest one by one. The guard may be the one who asks. */
const endNoted = (at: Layout): Promise<void> =>
  end(noted(at).filter(daemon => alive(daemon) && daemon.pid !== process.pid));

const killAll = (pids: readonly number[]): void => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself in between.
    }
};

/** Ends whatever lives in a namespace that we made, noted or not, and removes it. */
export const clearNetns = async (name: string): Promise<void> => {
  await until(`end of all processes in ${name}`, 20_000, async () => {
    const pids = await netnsPids(name);
    killAll(pids);
    return pids.length === 0;
  });
  await removeNetns(name);
};

/**
 * Ends a cluster's processes and removes its namespaces, cgroups and folders, from whatever state it is in.
 * Mounts exist inside the nodes' mount namespaces only and go with them.
 *
 * @throws Error that joins what could not be removed; everything else is gone then.
 */
export const tearDown = async (at: Layout): Promise<void> => {
  const failed: string[] = [];
  const attempt = async (step: () => Promise<unknown> | undefined): Promise<void> => {
    try {
      await step();
    } catch (error) {
      failed.push(String(error));
    }
  };
  await attempt(() => endNoted(at));
  for (const name of await ownNetns(at)) await attempt(() => clearNetns(name));
  await attempt(() => removeCgroups(at));
  for (const folder of [at.data, at.run])
    await attempt(async () =>
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }),
    );
  if (failed.length > 0)
    throw new Error(`not everything of ${at.name} could be removed:\n${failed.join('\n')}`);
};

/** Whether anything of the cluster is there. */
export const exists = (at: Layout): boolean => existsSync(at.run) || existsSync(at.data);

/** Control planes that a killed process left; their processes ended with it, their folders did not. */
export const orphans = (): readonly Layout[] =>
  readdirSync('/run').flatMap(name => {
    const owner = /^weft-api-(\d+)-/.exec(name)?.[1];
    return owner !== undefined && !existsSync(`/proc/${owner}`) ? [layout(name)] : [];
  });
