/**
 * What the kernel says yes to at once and has a worker do a moment later: until then packets are
 * lost. The worker is waited for by looking, since it reports to nobody in particular.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ipToBytes } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { attr, parseAttrs } from './attrs.ts';
import { LinuxError } from './errors.ts';
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

/** A link carries packets once its carrier was seen and its queue set up. Rejects with ETIMEDOUT. */
export const untilRunning = (rt: Rtnl, index: number): Promise<void> =>
  until(`link ${index} is up but carries nothing`, async () => {
    const head = Buffer.alloc(16);
    head.writeInt32LE(index, 4);
    const message = await rt.get(`get link ${index}`, RTM.getLink, [head]);
    return message !== undefined && parseAttrs(message.subarray(16)).get(IFLA_OPERSTATE)?.[0] === IF_OPER_UP;
  });

const RTA_DST = 1;
const RTN_LOCAL = 2;

/** Packets to an IPv6 address are taken in once its route in the local table is there. Rejects with ETIMEDOUT. */
export const untilLocal = (rt: Rtnl, ip: Ip): Promise<void> =>
  until(`address ${ip} is there but takes nothing in`, async () => {
    const head = Buffer.alloc(12);
    head.writeUInt8(AF[6], 0);
    head.writeUInt8(128, 1);
    const message = await rt.get(`look up ${ip}`, RTM.getRoute, [head, attr(RTA_DST, ipToBytes(ip))]);
    return message?.readUInt8(7) === RTN_LOCAL;
  });
