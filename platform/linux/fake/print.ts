/** The fake's state as sorted `ip …`, `sysctl …`, `wg …` and `nft …` lines that would make it. Pure. */
import type { Link, Neighbour, Route } from '../types.ts';
import { publicKeyOf } from '../x25519.ts';
import type { Device, State, Table } from './state.ts';

const words = (...parts: readonly (string | false | undefined)[]): string => parts.filter(Boolean).join(' ');

function linkLine(link: Link, state: State): string {
  const master = [...state.links.values()].find(other => other.index === link.master)?.name;
  return words(
    `ip link add ${link.name} type ${link.kind} mtu ${link.mtu}`,
    link.mac && `address ${link.mac}`,
    master && `master ${master}`,
    link.isolated && 'isolated on',
    link.up ? 'up' : 'down',
  );
}

const routeLine = ({ kind, dst, link, via, onlink, src, mtu, metric }: Route, protocol: number): string =>
  words(
    'ip route add',
    kind === 'unreachable' && 'unreachable',
    dst,
    via && `via ${via}`,
    link && `dev ${link}`,
    onlink && 'onlink',
    src && `src ${src}`,
    `proto ${protocol}`,
    metric !== undefined && `metric ${metric}`,
    mtu !== undefined && `mtu ${mtu}`,
  );

const neighbourLine = ({ link, ip, mac }: Neighbour): string =>
  `ip neigh add ${ip} lladdr ${mac} dev ${link} nud permanent`;

/** Without the private key. */
const deviceLines = (link: string, { privateKey, listenPort, peers }: Device): string[] => [
  words(
    `wg set ${link} listen-port ${listenPort}`,
    privateKey !== undefined && `private-key (that of ${publicKeyOf(Buffer.from(privateKey, 'base64'))})`,
  ),
  ...[...peers.values()].map(peer =>
    words(
      `wg set ${link} peer ${peer.publicKey}`,
      peer.endpoint && `endpoint ${peer.endpoint}`,
      peer.allowedIps.length > 0 && `allowed-ips ${peer.allowedIps.join(',')}`,
      peer.keepalive > 0 && `persistent-keepalive ${peer.keepalive}`,
    ),
  ),
];

const tableLines = (name: string, { items, sets }: Table): string[] => [
  `nft add table ${name}`,
  ...items.map(({ header, lines }) => {
    const [kind, item] = header.split(' ');
    return `nft add ${kind} ${name} ${item} { ${lines.join('; ')} }`;
  }),
  ...[...sets].flatMap(([set, elements]) =>
    [...elements].map(([key, data]) => `nft add element ${name} ${set} { ${key}${data && ` : ${data}`} }`),
  ),
];

export const printState = (state: State): string =>
  [
    ...[...state.links.values()].filter(link => link.name !== 'lo').map(link => linkLine(link, state)),
    ...[...state.addresses].filter(a => a.link !== 'lo').map(a => `ip addr add ${a.address} dev ${a.link}`),
    ...[...state.routes].map(({ route, protocol }) => routeLine(route, protocol)),
    ...[...state.neighbours].map(neighbourLine),
    ...[...state.sysctls].map(([key, value]) => `sysctl -w net/${key}=${value}`),
    ...[...state.devices].flatMap(([link, device]) => deviceLines(link, device)),
    ...[...state.tables].flatMap(([name, table]) => tableLines(name, table)),
  ]
    .sort()
    .map(line => `${line}\n`)
    .join('');
