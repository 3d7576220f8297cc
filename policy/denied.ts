/**
 * Connections that policies deny, in the log: the kernel remembers them for a minute in sets of
 * bounded size, which are read every few seconds. Each is said once, until it has been silent.
 */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { POLICY_TABLE } from '../constants.ts';
import { parseIp } from '../ip.ts';
import type { Nft } from '../platform/linux/types.ts';
import { evaluate } from './evaluate.ts';
import { parseListing } from './listing.ts';
import { deniedSets } from './render.ts';
import { FAMILIES } from './table.ts';
import type { Cluster, Packet, Protocol } from './types.ts';
import { verdictWords } from './words.ts';

const PROTOCOL: Readonly<Record<string, Protocol>> = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' };

/** `10.42.0.5 . 10.42.1.7 . tcp . 80`, or without a port what has none. */
function packetIn(element: string): Packet | undefined {
  const [from = '', to = '', protocol = '', port = '0'] = element.split(' . ');
  const [src, dst] = [parseIp(from), parseIp(to)];
  if (!src.ok || !dst.ok) return undefined;
  return { src: src.value, dst: dst.value, protocol: PROTOCOL[protocol] ?? 'ICMP', port: Number(port) };
}

/** Packets by element, of the text of one set. */
export const deniedIn = (text: string): ReadonlyMap<string, Packet> =>
  new Map(
    [...parseListing(text).sets.values()]
      .flatMap(({ elements }) => elements)
      .flatMap(element => {
        const packet = packetIn(element);
        return packet === undefined ? [] : [[element, packet] as const];
      }),
  );

export type DeniedDeps = {
  readonly nft: Nft;
  /** What is in force. */
  readonly cluster: () => Cluster | undefined;
  readonly log: Log;
};

const EVERY_MS = 5_000;
const AT_ONCE = 20;

export function startDeniedLog({ nft, cluster, log }: DeniedDeps): { readonly close: () => Promise<void> } {
  let known: ReadonlyMap<string, Packet> = new Map();

  const read = async (): Promise<ReadonlyMap<string, Packet>> => {
    const found: [string, Packet][] = [];
    for (const set of FAMILIES.flatMap(deniedSets)) {
      const text = await nft.listSet('inet', POLICY_TABLE, set);
      // Without any policy there is no table.
      if (text === undefined) break;
      found.push(...deniedIn(text));
    }
    return new Map(found);
  };

  const say = (world: Cluster, packet: Packet): void => {
    const [what, ...why] = verdictWords(world, packet, evaluate(world, packet));
    log.info({ ...packet, why }, `dropped by NetworkPolicies: ${what?.replace(/: \w+$/, '')}`);
  };

  const runner = startRunner({
    run: async () => {
      const world = cluster();
      if (world === undefined || world.policies.length === 0) return undefined;
      const now = await read();
      const fresh = [...now].filter(([element]) => !known.has(element)).map(([, packet]) => packet);
      known = now;
      for (const packet of fresh.slice(0, AT_ONCE)) say(world, packet);
      if (fresh.length > AT_ONCE)
        log.info({ more: fresh.length - AT_ONCE }, 'NetworkPolicies dropped more connections than are said');
      return undefined;
    },
    onError: error => log.warn({ error: String(error) }, 'denied connections cannot be read'),
    minMs: EVERY_MS,
    maxMs: EVERY_MS,
    retryMs: EVERY_MS,
  });
  runner.mark();
  return { close: runner.stop };
}
