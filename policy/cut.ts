/**
 * Connections that began when they were allowed and are no longer: the kernel forgets them, so that
 * their next packet is judged anew.
 */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { POLICY_TABLE } from '../constants.ts';
import { familyOf } from '../ip.ts';
import type { Flow } from '../platform/linux/ctflow.ts';
import type { Flows } from '../platform/linux/ctsocket.ts';
import type { ElementChange, Nft } from '../platform/linux/types.ts';
import type { Ip } from '../types.ts';
import { permits } from './permits.ts';
import { cutFlowSet, cutSet } from './render.ts';
import type { ElementText, Packet, RuleSet } from './types.ts';
import { elementKey } from './wire.ts';

export type Cutter = {
  /** These rules are in the kernel now. */
  readonly mark: (rules: RuleSet) => void;
  /** Connections cut so far. */
  readonly count: () => number;
  readonly close: () => Promise<void>;
};

const PROTOCOLS: Readonly<Record<number, Packet['protocol']>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

/** As the forward hook saw its first packet: after DNAT, before masquerading. */
const packetOf = (flow: Flow): Packet => ({
  src: flow.src,
  dst: flow.replySrc,
  protocol: PROTOCOLS[flow.protocol] ?? 'ICMP',
  port: PROTOCOLS[flow.protocol] === undefined ? 0 : flow.replySrcPort,
});

const isolated = (rules: RuleSet, ip: Ip): boolean => rules.ingress.has(ip) || rules.egress.has(ip);

/** Judges a connection that passes through this node; what begins or ends at the node itself is not forwarded. */
const isForbidden = (rules: RuleSet, local: ReadonlySet<Ip>, flow: Flow): boolean => {
  const packet = packetOf(flow);
  if (!isolated(rules, packet.src) && !isolated(rules, packet.dst)) return false;
  return !local.has(packet.src) && !local.has(packet.dst) && !permits(rules, packet);
};

/** Elements by which the answering ends of cut connections are kept from going on. */
const answering = (flows: readonly Flow[]): readonly ElementChange[] =>
  flows.flatMap(flow => {
    const protocol = PROTOCOLS[flow.protocol];
    if (protocol === undefined) return [];
    const { replySrc, replySrcPort, replyDst, replyDstPort } = flow;
    const ends = `${replySrc} . ${replySrcPort} . ${replyDst} . ${replyDstPort}`;
    const [set, text] =
      protocol === 'TCP'
        ? [cutSet(familyOf(replySrc)), ends]
        : [cutFlowSet(familyOf(replySrc)), `${protocol.toLowerCase()} . ${ends}`];
    return [{ op: 'add', set, key: elementKey(set, text as ElementText).key }];
  });

const MIN_MS = 50;
/** The list of all connections is long on busy nodes: it takes at most so small a part of the time. */
const SHARE = 20;
const RETRY_MS = 1_000;

export function startCutter(options: {
  readonly flows: Flows;
  readonly nft: Nft;
  /** The node's own addresses. */
  readonly local: () => Promise<ReadonlySet<Ip>>;
  readonly log: Log;
}): Cutter {
  const { flows, nft, local, log } = options;
  let due: RuleSet | undefined;
  let restUntil = 0;
  let cut = 0;

  const cutAll = async (forbidden: readonly Flow[]): Promise<number> => {
    await nft.elements('inet', POLICY_TABLE, answering(forbidden)).catch(error => {
      log.debug({ error: String(error) }, 'cut connections may go on when their answering end speaks first');
    });
    return flows.remove(forbidden);
  };

  const run = async (): Promise<number | undefined> => {
    const begin = performance.now();
    if (due === undefined) return undefined;
    if (begin < restUntil) return restUntil - begin;
    const rules = due;
    due = undefined;
    try {
      const own = await local();
      const gone = await cutAll(await flows.list(flow => isForbidden(rules, own, flow)));
      cut += gone;
      if (gone > 0) log.info({ connections: gone }, 'connections that policies no longer allow are cut');
    } catch (error) {
      due ??= rules;
      throw error;
    }
    restUntil = performance.now() + (performance.now() - begin) * SHARE;
    return undefined;
  };

  const runner = startRunner({
    run,
    onError: error =>
      log.warn({ error: String(error) }, 'connections cannot be looked through; trying again'),
    minMs: MIN_MS,
    maxMs: 60_000,
    retryMs: RETRY_MS,
  });
  return {
    mark: rules => {
      due = rules;
      if (rules.ingress.size + rules.egress.size > 0) runner.mark();
      else due = undefined;
    },
    count: () => cut,
    close: runner.stop,
  };
}
