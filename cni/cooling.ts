/**
 * When addresses were freed, kept over a restart of the agent: an agent that starts again would else
 * give away at once what others still send to. One line an address, appended, on tmpfs; a reboot
 * forgets them with the pods that knew them. A line that cannot be written is only a cool-down lost.
 */
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import { COOL_MS } from './ipam.ts';

/** Address → when it was freed, in ms of a clock that goes on over restarts; the longest ago comes first. */
export type Freed = ReadonlyMap<Ip, number>;

export type Cooling = {
  /** Those that still cool down. */
  readonly load: (now: number) => Freed;
  readonly note: (ips: readonly Ip[], now: number) => void;
};

/** So many lines are appended before the file is written anew. */
const LINES = 4_096;

/** The later line of an address counts. A clock that went back, or a line cut off by a kill, is no entry. Pure. */
export function parseFreed(text: string, now: number): Freed {
  const freed = new Map<Ip, number>();
  for (const line of text.split('\n')) {
    const [address = '', at = ''] = line.split(' ');
    const ip = parseIp(address);
    const ms = Number(at);
    if (!ip.ok || !/^\d+$/.test(at)) continue;
    freed.delete(ip.value);
    if (ms <= now && now - ms < COOL_MS) freed.set(ip.value, ms);
  }
  return freed;
}

const lines = (freed: Freed): string => [...freed].map(([ip, at]) => `${ip} ${at}\n`).join('');

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

export function openCooling(path: string): Cooling {
  let appended = 0;

  const rewrite = (freed: Freed): void => {
    const temporary = `${path}.new`;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      // What a full tmpfs cut off here is written over by the next one, and never read.
      writeFileSync(temporary, lines(freed), { mode: 0o600 });
      renameSync(temporary, path);
      appended = 0;
    } catch {
      // The old file still holds more than nothing.
    }
  };

  const load = (now: number): Freed => {
    const freed = parseFreed(read(path), now);
    rewrite(freed);
    return freed;
  };

  const note = (ips: readonly Ip[], now: number): void => {
    const at = Math.floor(now);
    try {
      appendFileSync(path, lines(new Map(ips.map(ip => [ip, at]))), { mode: 0o600 });
    } catch {
      return;
    }
    appended += ips.length;
    if (appended > LINES) rewrite(parseFreed(read(path), now));
  };

  return { load, note };
}
