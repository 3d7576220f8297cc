/** `weft plan`: what an agent would do with these Nodes. Nothing is touched, and nobody is asked. */

import { readFileSync } from 'node:fs';
import { settingsOf } from '../agent/facts.ts';
import { type Config, parseConfig } from '../config.ts';
import { WG_OVERHEAD } from '../constants.ts';
import type { NodeFact } from '../discovery/types.ts';
import { parseIp } from '../ip.ts';
import { meshTable } from '../mesh/nft.ts';
import { plan as makePlan } from '../mesh/plan.ts';
import { meshRoutes } from '../mesh/routes.ts';
import type { MeshPlan } from '../mesh/types.ts';
import { wgText } from '../mesh/wgpeers.ts';
import type { Ip, PublicKey } from '../types.ts';
import { readNodes } from './nodefile.ts';
import { parseOptions } from './options.ts';
import { list, may, number, object, oneOf, said, string } from './shape.ts';
import { exclusion, warning } from './shapes/parts.ts';
import { table, wrap } from './table.ts';
import { EXIT, type Io, UsageError, type Verb } from './types.ts';

const STDIN = 0;
const ETHERNET_MTU = 1500;

const read = (path: string): string => {
  try {
    return readFileSync(path === '-' ? STDIN : path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
};

function settings(path: string | undefined): Config {
  let json: unknown = {};
  try {
    if (path !== undefined) json = JSON.parse(read(path));
  } catch (error) {
    throw new UsageError(`${path} is no JSON: ${(error as Error).message}`);
  }
  const config = parseConfig(json);
  if (!config.ok) throw new UsageError(`${path} has errors:\n${config.error}`);
  return config.value;
}

/** Names are looked up by agents only; addresses are what they are. */
const literal = (nodes: readonly NodeFact[]): ReadonlyMap<string, readonly Ip[]> =>
  new Map(
    nodes.flatMap(({ forceEndpoint }) => {
      const ip = parseIp(forceEndpoint?.host ?? '');
      return forceEndpoint !== undefined && ip.ok ? [[forceEndpoint.host, [ip.value]] as const] : [];
    }),
  );

/** Where a Node has no key yet, its agent would make one: the others do not see it. */
const NO_KEY = '(its agent makes it)' as PublicKey;

function planOf(config: Config, nodes: readonly NodeFact[], name: string): MeshPlan {
  const publicKey = nodes.find(node => node.name === name)?.publicKey ?? NO_KEY;
  return makePlan({
    self: { name, publicKey },
    nodes,
    resolved: literal(nodes),
    settings: settingsOf(config, config.mtu ?? ETHERNET_MTU - WG_OVERHEAD),
  });
}

function peersText(plan: MeshPlan): string {
  if (plan.peers.length === 0) return '  no peers\n';
  const rows = plan.peers.map(peer => [
    `  ${peer.node}`,
    peer.allowedIps.join(', '),
    peer.endpoints.join(', ') || 'none; it must call',
    `${peer.keepalive} s`,
  ]);
  return table([['  PEER', 'POD NETWORKS', 'ENDPOINTS, BEST FIRST', 'KEEPALIVE'], ...rows]);
}

const routeText = ({ dst, kind, link, src, metric }: ReturnType<typeof meshRoutes>[number]): string =>
  kind === 'unreachable' ? `  unreachable ${dst} metric ${metric}` : `  ${dst} dev ${link} src ${src}`;

function nodeText(plan: MeshPlan, full: boolean, io: Io): string {
  const { name, podCidrs, gateways } = plan.self;
  const notes = [
    ...plan.excluded.map(e => `${e.node} is left out: it ${e.reason}`),
    ...plan.warnings.map(w => `${w.node}: ${w.message}`),
  ];
  return [
    `${name}: pods ${podCidrs.join(', ') || 'none'}, gateways ${gateways.join(', ') || 'none'}, MTU ${plan.settings.mtu}\n`,
    peersText(plan),
    ...notes.map(note => `  ! ${wrap(note, io.width, 4)}\n`),
    ...(full
      ? [
          '\n  routes\n',
          ...meshRoutes(plan).map(route => `${routeText(route)}\n`),
          '\n# wg\n',
          wgText(plan),
          '\n# nft\n',
          meshTable(plan),
        ]
      : []),
  ].join('');
}

/** Of the plan what programs may rely on. */
const told = (plan: MeshPlan) => ({
  node: plan.self.name,
  podCidrs: plan.self.podCidrs,
  gateways: plan.self.gateways,
  clusterCidrs: plan.clusterCidrs,
  mtu: plan.settings.mtu,
  peers: plan.peers,
  routes: meshRoutes(plan),
  excluded: plan.excluded,
  warnings: plan.warnings,
});

const route = object({
  dst: string,
  kind: oneOf('unicast', 'unreachable'),
  link: may(string),
  src: may(string),
  mtu: may(number),
  metric: may(number),
});

const planned = object({
  node: string,
  publicKey: string,
  endpoints: said(list(string), 'best first'),
  allowedIps: list(string),
  gateways: list(string),
  keepalive: said(number, 'seconds'),
  path: object({ kind: oneOf('direct') }),
});

const shape = object({
  nodes: list(
    object({
      node: string,
      podCidrs: list(string),
      gateways: list(string),
      clusterCidrs: list(string),
      mtu: number,
      peers: list(planned),
      routes: list(route),
      excluded: list(exclusion),
      warnings: list(warning),
    }),
  ),
  errors: said(list(string), 'objects of the file that are no Nodes'),
});

export const plan: Verb = {
  name: 'plan',
  summary: 'what agents would do with a file of Nodes; touches nothing',
  usage: `  {weft} plan FILE [--node NAME] [--config FILE] [--full] [-o json]

  FILE                  Nodes in YAML or JSON; - is standard input:
                        kubectl get nodes -o json | {weft} plan -
  -n, --node NAME       only what this node's agent would do
      --config FILE     settings, as the agent reads them (default: all defaults)
      --full            routes, WireGuard peers and nft rules too
  -o, --output json     for programs

Nobody is asked and nothing is changed: names of weft.network/force-endpoint are not looked up, and the
MTU is that of an underlay of 1500 bytes unless set. Exit code 1: a Node is left out, or there is a warning.`,
  shape,
  run: async (args, io) => {
    const { where, json, values, positionals } = parseOptions(args, {
      config: { type: 'string' },
      full: { type: 'boolean' },
    });
    const [path, ...rest] = positionals;
    if (path === undefined || rest.length > 0)
      throw new UsageError('say one file of Nodes, or - for standard input');
    const { nodes, errors } = readNodes(read(path));
    const names = nodes
      .map(node => node.name)
      .filter(name => where.node === undefined || name === where.node);
    if (names.length === 0)
      throw new UsageError(
        where.node === undefined
          ? `there is no Node in ${path}`
          : `there is no Node ${where.node} in ${path}`,
      );
    const config = settings(values.config as string | undefined);
    const plans = names.sort().map(name => planOf(config, nodes, name));
    if (json) io.out(`${JSON.stringify({ nodes: plans.map(told), errors }, undefined, 2)}\n`);
    else {
      io.out(plans.map(p => nodeText(p, values.full === true, io)).join('\n'));
      io.out(errors.map(error => `! ${error}\n`).join(''));
    }
    const clean = errors.length === 0 && plans.every(p => p.excluded.length === 0 && p.warnings.length === 0);
    return clean ? EXIT.ok : EXIT.trouble;
  },
};
