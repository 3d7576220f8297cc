/** A verdict in words: what happens to the packet, at which end, and by which rules of which policies. Pure. */
import type { Ip } from '../types.ts';
import type {
  Cluster,
  Decision,
  Direction,
  Exemption,
  NearMiss,
  Packet,
  PolicyKey,
  Side,
  Verdict,
} from './types.ts';

/** `pod shop/web (10.42.1.7)`, `node n1 (10.42.1.1)`, `203.0.113.7 (no pod and no node known here)`. */
function whoIs({ pods, nodes, unknown }: Cluster, ip: Ip): string {
  if (unknown.includes(ip)) return `${ip} (a pod of this node that is not known yet)`;
  const pod = pods.findLast(one => !one.done && !one.hostNetwork && one.ips.includes(ip));
  if (pod !== undefined) return `pod ${pod.key} (${ip})`;
  const node = nodes.find(one => one.addresses.includes(ip) || one.gateways.includes(ip));
  return node === undefined ? `${ip} (no pod and no node known here)` : `node ${node.name} (${ip})`;
}

const EXEMPT: Readonly<Record<Exemption, string>> = {
  outside: 'not a pod with an address of its own, so no NetworkPolicy holds here',
  ownNode: 'the other end is the pod’s own node, which no NetworkPolicy cuts off',
  itself: 'a pod always reaches itself',
};

const PEERS = { ingress: 'from', egress: 'to' } as const;

function ruleText(direction: Direction, { policy, rule, peer, port }: Decision): string {
  const where = `spec.${direction}[${rule}]`;
  const peerText = peer === undefined ? 'any peer' : `${PEERS[direction]}[${peer}]`;
  return `${policy} ${where} (${peerText}, ${port === undefined ? 'any port' : `ports[${port}]`})`;
}

const nearText = (direction: Direction, { policy, rule, fits }: NearMiss): string =>
  `${policy} spec.${direction}[${rule}] ${fits === 'peer' ? 'is for this peer, but not for this port' : 'is for this port, but not for this peer'}`;

const list = (keys: readonly PolicyKey[]): string => keys.join(', ');

const portText = ({ protocol, port }: Packet): string =>
  protocol === 'ICMP' ? 'ICMP' : `${protocol} ${port}`;

function sideWords(cluster: Cluster, direction: Direction, side: Side, packet: Packet): readonly string[] {
  const head = `${direction}:`;
  switch (side.kind) {
    case 'exempt':
      return [`${head} allowed; ${EXEMPT[side.why]}`];
    case 'open':
      return [`${head} allowed; no NetworkPolicy isolates pod ${side.pod} for ${direction}`];
    case 'unknown':
      return [
        `${head} denied; the API has not shown the pod with this address yet, and until then it is closed`,
      ];
    case 'allowed':
      return [
        `${head} allowed by ${side.by.map(one => ruleText(direction, one)).join(' and ')}; pod ${side.pod} is isolated by ${list(side.isolating)}`,
      ];
    case 'denied':
      return [
        `${head} denied; pod ${side.pod} is isolated by ${list(side.isolating)}, and no rule of these allows ${whoIs(cluster, direction === 'ingress' ? packet.src : packet.dst)} on ${portText(packet)}`,
        ...side.near.map(near => `  ${nearText(direction, near)}`),
        ...brokenWords(cluster, side.isolating),
      ];
  }
}

const brokenWords = ({ policies }: Cluster, keys: readonly PolicyKey[]): readonly string[] =>
  policies
    .filter(policy => keys.includes(policy.key))
    .flatMap(({ key, errors }) => errors.map(({ field, message }) => `  ${key} ${field}: ${message}`));

/** First the verdict, then each end. */
export const verdictWords = (cluster: Cluster, packet: Packet, verdict: Verdict): readonly string[] => [
  `${whoIs(cluster, packet.src)} → ${whoIs(cluster, packet.dst)}, ${portText(packet)}: ${verdict.allowed ? 'allowed' : 'denied'}`,
  ...sideWords(cluster, 'egress', verdict.egress, packet),
  ...sideWords(cluster, 'ingress', verdict.ingress, packet),
];
