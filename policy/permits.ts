/** What the kernel decides by a rule set, without words: for connections that are already there. Pure. */
import { familyOf, ipToNumber } from '../ip.ts';
import type { Ip } from '../types.ts';
import { PROTOCOL_NUMBER } from './boxes.ts';
import { resolvePort } from './parts.ts';
import type { Box, Chain, Direction, Entry, Packet, RuleSet } from './types.ts';

/** Any number that is not one of a protocol with ports. */
const ICMP = 1;

const within = (span: { readonly first: number; readonly last: number }, number: number): boolean =>
  span.first <= number && number <= span.last;

function enters(entry: Entry, peer: Ip, { protocol, port }: Packet): boolean {
  if (entry.kind === 'port') return entry.protocol === protocol && entry.port === port;
  const pods = entry.group.members.get(peer);
  if (pods === undefined || entry.ports === undefined) return pods !== undefined;
  return entry.ports.some(allowed =>
    pods.some(pod =>
      resolvePort(allowed, pod.ports).some(
        one => one.kind === 'range' && one.protocol === protocol && within(one, port),
      ),
    ),
  );
}

function inBox(box: Box, peer: Ip, { protocol, port }: Packet): boolean {
  const number = protocol === 'ICMP' ? ICMP : PROTOCOL_NUMBER[protocol];
  const address = ipToNumber(peer);
  return (
    box.family === familyOf(peer) &&
    box.first <= address &&
    address <= box.last &&
    within(box.protocols, number) &&
    within(box.ports, port)
  );
}

const admits = (chain: Chain, peer: Ip, packet: Packet): boolean =>
  chain.entries.some(entry => enters(entry, peer, packet)) ||
  chain.boxes.some(box => inBox(box, peer, packet));

function passes(rules: RuleSet, direction: Direction, own: Ip, peer: Ip, packet: Packet): boolean {
  const target = rules[direction].get(own);
  if (target === undefined) return true;
  const chain = target === 'pending' ? undefined : rules.chains.get(target);
  return chain !== undefined && (admits(chain, peer, packet) || (own === peer && rules.own.has(own)));
}

/**
 * Whether the first packet of such a connection passes this node's forward hook: addresses after
 * destination NAT and before masquerading. Traffic of the node itself never comes there.
 */
export const permits = (rules: RuleSet, packet: Packet): boolean =>
  passes(rules, 'egress', packet.src, packet.dst, packet) &&
  passes(rules, 'ingress', packet.dst, packet.src, packet);
