/** When a link can carry packets: its queue is set up by a worker of the kernel some time after both ends are up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LinuxError } from './errors.ts';
import { RTM, type Rtnl } from './rtnl.ts';

const IFF_RUNNING = 0x40;
const PAUSE_MS = 2;
const LIMIT_MS = 2_000;

async function isRunning(rt: Rtnl, index: number): Promise<boolean> {
  const head = Buffer.alloc(16);
  head.writeInt32LE(index, 4);
  const message = await rt.get(`get link ${index}`, RTM.getLink, [head]);
  return message !== undefined && (message.readUInt32LE(8) & IFF_RUNNING) !== 0;
}

/** Until then the kernel drops what is sent. Rejects with ETIMEDOUT where it does not come to that. */
export async function untilRunning(rt: Rtnl, index: number): Promise<void> {
  for (let waited = 0; waited < LIMIT_MS; waited += PAUSE_MS) {
    if (await isRunning(rt, index)) return;
    await sleep(PAUSE_MS);
  }
  throw new LinuxError('ETIMEDOUT', `link ${index} is up but carries nothing after ${LIMIT_MS} ms`);
}
