/** DELs that the binary accepted while the agent was away: hello payloads, a file each. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeHello } from './wire.ts';

export type QueuedDel = { readonly containerId: string; readonly ifname: string; readonly done: () => void };

/** What waits. Files that cannot be read as such are removed and named by `damaged`. */
export function readDelQueue(dir: string, damaged: (file: string) => void): readonly QueuedDel[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter(file => !file.startsWith('.'))
    .flatMap(file => {
      const path = join(dir, file);
      const done = (): void => rmSync(path, { force: true });
      const hello = decodeHello(readFileSync(path));
      const containerId = hello.ok ? hello.value.env.get('CNI_CONTAINERID') : undefined;
      const ifname = hello.ok ? hello.value.env.get('CNI_IFNAME') : undefined;
      if (containerId && ifname) return [{ containerId, ifname, done }];
      damaged(file);
      done();
      return [];
    });
}
