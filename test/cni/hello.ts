/** Requests as a runtime makes them, for tests. */
import { parseRequest } from '../../cni/spec.ts';
import type { Hello } from '../../cni/wire.ts';

export const ENV = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/proc/1/ns/net',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
} as const;

export const CONF = { cniVersion: '1.1.0', name: 'weft', type: 'weft-cni' } as const;

/** A sound ADD, with what `env` and `conf` change; a variable set to undefined is left out. */
export const hello = (env: Readonly<Record<string, string | undefined>> = {}, conf: unknown = {}): Hello => ({
  env: new Map(
    Object.entries<string | undefined>({ ...ENV, ...env }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  ),
  stdin: Buffer.from(
    typeof conf === 'string' ? conf : JSON.stringify({ ...CONF, ...(conf as Record<string, unknown>) }),
  ),
  stdinUnreadable: false,
  knowsParts: true,
});

export const request = (...args: Parameters<typeof hello>) => parseRequest(hello(...args));
