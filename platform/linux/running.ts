/**
 * What the kernel says yes to at once and has a worker do a moment later: until then packets are
 * lost. The worker is waited for by looking, since it reports to nobody in particular.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ipToBytes } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { attr, parseAttrs } from './attrs.ts';
import { LinuxError } from './errors.ts';
import type { Gathering } from './gather.ts';
import { AF } from './names.ts';
import { RTM, type Rtnl } from './rtnl.ts';

/** It is a matter of microseconds, so the first looks follow one another. */
const EAGER_LOOKS = 6;
const PAUSE_MS = 1;
const LIMIT_MS = 2_000;

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  for (let looks = 0; performance.now() < end; looks += 1) {
    if (await look()) return;
    if (looks >= EAGER_LOOKS) await sleep(PAUSE_MS);
  }
  throw new LinuxError('ETIMEDOUT', `${what} after ${LIMIT_MS} ms`);
}

const IFLA_OPERSTATE = 16;
/** The flag IFF_RUNNING would not do: a new link has it before anybody has looked at its carrier. */
const IF_OPER_UP = 6;

const linkHead = (index: number): Buffer => {
  const head = Buffer.alloc(16);
  head.writeInt32LE(index, 4);
  return head;
};

const runs = (message: Buffer | undefined): boolean =>
  message !== undefined && parseAttrs(message.subarray(16)).get(IFLA_OPERSTATE)?.[0] === IF_OPER_UP;

/** Whether a link's carrier was seen and its queue set up. Since Linux 6.8 the question itself makes it so. */
const isRunning = async (rt: Rtnl, index: number): Promise<boolean> =>
  runs(await rt.get(`get link ${index}`, RTM.getLink, [linkHead(index)]));

/** Behind both heads, the name with its closing NUL and the queue's length. */
const stateOffset = (name: string): number => 16 + 16 + ((4 + name.length + 1 + 3) & ~3) + 8 + 4;

/** The same as a step; where the answer has its parts in another order, it only does not count as granted. */
export const lookRunning = async (
  look: Gathering['podLook'],
  index: number,
  name: string,
): Promise<boolean> =>
  runs(await look(stateOffset(name), IF_OPER_UP, `get link ${index}`, RTM.getLink, [linkHead(index)]));

/** A link carries packets once it is running. Rejects with ETIMEDOUT. */
export const untilRunning = (rt: Rtnl, index: number): Promise<void> =>
  until(`link ${index} is up but carries nothing`, () => isRunning(rt, index));

const RTA_DST = 1;
const RTN_LOCAL = 2;
/** Of rtm_type in the answer, behind the netlink header. */
const TYPE_OFFSET = 16 + 7;

/**
 * Packets to an IPv6 address are taken in once its route in the local table is there: a worker of
 * the kernel's makes it a moment after the address. Rejects with ETIMEDOUT where it does not come.
 */
export async function untilLocal({ until }: Pick<Gathering, 'until'>, ip: Ip): Promise<void> {
  const head = Buffer.alloc(12);
  head.writeUInt8(AF[6], 0);
  head.writeUInt8(128, 1);
  const payload = [head, attr(RTA_DST, ipToBytes(ip))];
  const message = await until(TYPE_OFFSET, RTN_LOCAL, `look up ${ip}`, RTM.getRoute, payload);
  if (message?.readUInt8(7) !== RTN_LOCAL)
    throw new LinuxError('ETIMEDOUT', `address ${ip} is there but takes nothing in after ten seconds`);
}
