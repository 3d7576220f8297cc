/**
 * The kernel's part, played from the table as plain data: text elements are read again, so that this
 * shares nothing with how they were made. A probe goes through the forward hook of each node that it
 * would cross.
 */
import { BlockList, isIPv6 } from 'node:net';
import type { ChainId, ElementText, Table } from '../../policy/types.ts';
import type { Ip } from '../../types.ts';
import { type Probe, podAt, type World } from './naive.ts';

const family = (ip: string): 'ipv6' | 'ipv4' => (isIPv6(ip) ? 'ipv6' : 'ipv4');

function addressFits(text: string, ip: string): boolean {
  const list = new BlockList();
  const [network = '', length] = text.split('/');
  const [first = '', last = first] = text.split('-');
  if (family(length === undefined ? first : network) !== family(ip)) return false;
  if (length === undefined) list.addRange(first, last, family(first));
  else list.addSubnet(network, Number(length), family(network));
  return list.check(ip, family(ip));
}

const NUMBER: Readonly<Record<string, number>> = {
  tcp: 6,
  udp: 17,
  sctp: 132,
  TCP: 6,
  UDP: 17,
  SCTP: 132,
  ICMP: 1,
};

function numberFits(text: string, number: number): boolean {
  const [first = '', last = first] = text.split('-');
  const value = (word: string): number => NUMBER[word] ?? Number(word);
  return value(first) <= number && number <= value(last);
}

function fits(element: ElementText, kind: string, peer: string, { protocol, port }: Probe): boolean {
  const fields = element.split(' . ');
  const [address, proto, ports] = kind === 'port' ? [undefined, ...fields] : fields;
  return (
    (address === undefined || addressFits(address, peer)) &&
    (proto === undefined || numberFits(proto, NUMBER[protocol] as number)) &&
    (ports === undefined || numberFits(ports, port))
  );
}

/** A rule is `… @SET return` or the last one, `goto deny-…`. */
function chainAllows(table: Table, id: ChainId, peer: string, probe: Probe): boolean {
  for (const rule of table.chains.get(id) ?? []) {
    const [, selector = '', set = ''] = /^(.*) @(\S+) return$/.exec(rule) ?? [];
    if (set === '') return false;
    if (selector.startsWith('ip ') && isIPv6(peer)) continue;
    if (selector.startsWith('ip6 ') && !isIPv6(peer)) continue;
    const kind = /-([a-z]+)[46]?$/.exec(set)?.[1] ?? '';
    const elements = table.sets.get(set);
    if (elements === undefined) throw new Error(`${id} asks ${set}, which is not there`);
    for (const element of elements) if (fits(element, kind, peer, probe)) return true;
  }
  throw new Error(`${id} has no end`);
}

function directionAllows(table: Table, direction: 'ingress' | 'egress', probe: Probe): boolean {
  const [own, peer] = direction === 'ingress' ? [probe.dst, probe.src] : [probe.src, probe.dst];
  const four = isIPv6(own) ? '6' : '4';
  const target = table.maps.get(`${direction}${four}`)?.get(own as Ip);
  if (target === undefined) return true;
  if (target === 'pending') return false;
  const self = table.sets.get(`self${four}`)?.has(`${probe.src} . ${probe.dst}` as ElementText);
  return chainAllows(table, target, peer, probe) || self === true;
}

/** One node's forward hook. */
export const forwards = (table: Table, probe: Probe): boolean =>
  directionAllows(table, 'egress', probe) && directionAllows(table, 'ingress', probe);

function nodeOf(world: World, ip: string): { readonly name: string; readonly host: boolean } | undefined {
  const pod = podAt(world, ip);
  if (pod !== undefined) return { name: pod.spec.nodeName, host: false };
  const node = world.nodes.find(({ addresses, gateways }) => addresses.includes(ip) || gateways.includes(ip));
  return node === undefined ? undefined : { name: node.name, host: true };
}

/** Nodes whose forward hook the probe crosses. */
export function hooks(world: World, { src, dst }: Probe): readonly string[] {
  const from = nodeOf(world, src);
  const to = nodeOf(world, dst);
  if (from?.name === to?.name && (from?.host === true || to?.host === true)) return [];
  const at = [from, to].flatMap(one => (one === undefined || one.host ? [] : [one.name]));
  return [...new Set(at)];
}

export const simulate = (world: World, tables: ReadonlyMap<string, Table>, probe: Probe): boolean =>
  hooks(world, probe).every(name => forwards(tables.get(name) as Table, probe));
