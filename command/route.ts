/** The way of a packet between two ends, as the agents of both nodes tell of it. Pure. */
import type { StatusReport } from '../agent/report.ts';
import { BRIDGE, WG_LINK } from '../constants.ts';
import { containsIp, familyOf, parseCidr } from '../ip.ts';
import { duration } from '../mesh/reasons.ts';
import type { Ip } from '../types.ts';
import { type Edge, edgeOf } from './pairs.ts';
import type { MeshReport } from './reports.ts';
import { millis } from './table.ts';
import type { Target } from './target.ts';

export type End = {
  readonly ip: Ip;
  /** `default/web-0`; undefined: no pod that an agent knows. */
  readonly pod: string | undefined;
  /** Of whose podCIDR the address is, or whose gateway; undefined: outside. */
  readonly node: string | undefined;
  /** Host end of the pod's veth. */
  readonly link: string | undefined;
  /** The node whose own address it is, as of a hostNetwork pod. */
  readonly host?: string | undefined;
};

export type Step = {
  readonly node: string;
  /** ok: it passes; lost: it does not; unknown: nobody could be asked. */
  readonly result: 'ok' | 'lost' | 'unknown';
  readonly what: string;
};

type Lease = StatusReport['pods'][number];

const inCidrs = (cidrs: readonly string[], ip: Ip): boolean =>
  cidrs.some(text => {
    const cidr = parseCidr(text);
    return cidr.ok && containsIp(cidr.value, ip);
  });

const nameOf = ({ pod }: Lease): string | undefined => pod && `${pod.namespace}/${pod.name}`;

/** By an agent's own word, or by what others know of it. */
function nodeOf({ nodes }: MeshReport, ip: Ip): string | undefined {
  const own = nodes.find(({ report }) => report !== undefined && inCidrs(report.podCidrs, ip));
  if (own !== undefined) return own.node;
  const peers = nodes.flatMap(({ report }) => report?.peers ?? []);
  return peers.find(peer => inCidrs(peer.podCidrs, ip))?.node;
}

/** The addresses of a target, IPv4 first. Empty: no agent knows the pod. */
export function endsOf(mesh: MeshReport, { who }: Pick<Target, 'who'>): readonly End[] {
  const leases = mesh.nodes.flatMap(({ node, report }) =>
    (report?.pods ?? []).map(lease => ({ node, lease })),
  );
  if (who.kind === 'service') return [];
  if (who.kind === 'pod') {
    const name = `${who.namespace}/${who.name}`;
    return leases
      .filter(({ lease }) => nameOf(lease) === name)
      .flatMap(({ node, lease }) => lease.ips.map(ip => ({ ip, pod: name, node, link: lease.link })))
      .sort((a, b) => familyOf(a.ip) - familyOf(b.ip));
  }
  const held = leases.find(({ lease }) => lease.ips.includes(who.ip));
  const node = held?.node ?? nodeOf(mesh, who.ip);
  return [{ ip: who.ip, pod: held && nameOf(held.lease), node, link: held?.lease.link }];
}

const reportOf = ({ nodes }: MeshReport, node: string): StatusReport | undefined =>
  nodes.find(n => n.node === node)?.report;

const isGateway = (report: StatusReport | undefined, ip: Ip): boolean =>
  report?.gateways.includes(ip) ?? false;

/** On a node only its own agent is. */
const notAsked = ({ kind }: MeshReport): string =>
  kind === 'local' ? 'was not asked (with a kubeconfig all are)' : 'cannot be asked';

function leaves(mesh: MeshReport, from: End, node: string): Step {
  const report = reportOf(mesh, node);
  if (from.link !== undefined)
    return {
      node,
      result: 'ok',
      what: `leaves ${from.pod ?? 'the pod'} by ${from.link}, a port of ${BRIDGE}`,
    };
  if (report === undefined) return { node, result: 'unknown', what: `the agent there ${notAsked(mesh)}` };
  if (isGateway(report, from.ip)) return { node, result: 'ok', what: 'is sent by the node itself' };
  return { node, result: 'lost', what: `no pod there has ${from.ip}: nobody sends from it` };
}

function arrives(mesh: MeshReport, to: End, node: string): Step {
  const report = reportOf(mesh, node);
  if (to.link !== undefined)
    return { node, result: 'ok', what: `goes by ${to.link} to ${to.pod ?? 'the pod'}` };
  if (report === undefined)
    return { node, result: 'unknown', what: `the agent there ${notAsked(mesh)} which pod has the address` };
  if (isGateway(report, to.ip)) return { node, result: 'ok', what: 'is for the node itself' };
  return { node, result: 'lost', what: `no pod there has ${to.ip}: the kernel answers “unreachable”` };
}

function tunnel({ from, peer, reason }: Edge, ip: Ip): readonly Step[] {
  const cidr = peer.podCidrs.find(text => inCidrs([text], ip));
  const found = peer.endpointSource === undefined ? '' : ` (${peer.endpointSource})`;
  const session =
    peer.handshakeAgeMs === undefined ? 'no handshake yet' : `handshake ${duration(peer.handshakeAgeMs)} ago`;
  const rtt = peer.rttMs === undefined ? '' : `, ${millis(peer.rttMs)}`;
  const small = peer.mtuLimit === undefined ? '' : `, by the path (${peer.mtuLimit})`;
  return [
    {
      node: from,
      result: 'ok',
      what: `route ${cidr ?? ip} by ${WG_LINK}, packets up to ${peer.mtu ?? '?'} bytes${small}`,
    },
    {
      node: from,
      result: peer.state === 'established' ? 'ok' : 'lost',
      what: `tunnel to ${peer.node}, ${peer.path}, at ${peer.endpoint ?? 'no endpoint'}${found}: ${peer.state}${rtt}, ${session}${reason === undefined ? '' : `; ${reason}`}`,
    },
  ];
}

function between(mesh: MeshReport, from: string, to: End): readonly Step[] {
  const report = reportOf(mesh, from);
  if (report === undefined)
    return [{ node: from, result: 'unknown', what: `the agent there ${notAsked(mesh)} for its tunnels` }];
  const edge = edgeOf(mesh.nodes, from, to.node ?? '');
  if (edge !== undefined) return tunnel(edge, to.ip);
  const excluded = report.excluded.find(e => e.node === to.node)?.reason;
  return [
    {
      node: from,
      result: 'lost',
      what: `${to.node} is no peer of it${excluded === undefined ? '' : `: it ${excluded}`}`,
    },
  ];
}

function outside(mesh: MeshReport, from: string, { ip, host }: End, lookup: string): readonly Step[] {
  const report = reportOf(mesh, from);
  if (report !== undefined && inCidrs(report.clusterCidrs, ip))
    return [
      {
        node: from,
        result: 'lost',
        what: `${ip} is of the cluster’s pod network, but of no node’s podCIDR: the route is “unreachable”`,
      },
    ];
  const what =
    host === undefined
      ? `${ip} is outside the pod network; ${lookup}. It leaves by the node’s own routes with the node’s address, unless masquerade is off`
      : `${ip} is ${host}’s own address: it leaves by the node’s own routes with the node’s address, and by no tunnel`;
  return [{ node: from, result: host === from ? 'ok' : 'unknown', what }];
}

const NOT_LOOKED_UP = 'where it is a Service, kube-proxy chooses a pod first (explain that one)';

/** Step by step, without policy. `lookup`: what is known of an outer address as a Service's. */
export function routeOf(mesh: MeshReport, from: End, to: End, lookup = NOT_LOOKED_UP): readonly Step[] {
  const { node } = from;
  if (node === undefined)
    return [
      {
        node: '-',
        result: 'unknown',
        what: `${from.ip} is of no node’s podCIDR: what it sends is not weft’s to know`,
      },
    ];
  if (to.node === undefined) return [leaves(mesh, from, node), ...outside(mesh, node, to, lookup)];
  const here = to.node === node;
  const middle = here ? [] : between(mesh, node, to);
  return [leaves(mesh, from, node), ...middle, arrives(mesh, to, to.node)];
}
