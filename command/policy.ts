/** What NetworkPolicies say of one packet, from the API server's objects, read with the user's own rights. */
import { parseEndpoint } from '../ip.ts';
import { evaluate } from '../policy/evaluate.ts';
import { parseNamespace, parsePod, parsePolicy } from '../policy/parse.ts';
import type { Cluster, NodeFacts, Packet } from '../policy/types.ts';
import { verdictWords } from '../policy/words.ts';
import type { Ip, Result } from '../types.ts';
import type { Agents } from './agents.ts';
import type { MeshReport } from './reports.ts';

export type Judgement = { readonly allowed: boolean; readonly words: readonly string[] };

const nodesOf = ({ nodes }: MeshReport): readonly NodeFacts[] =>
  nodes.flatMap(({ node, report }) => {
    if (report === undefined) return [];
    const addresses = report.endpoints.flatMap((e): Ip[] => {
      const endpoint = parseEndpoint(e.a);
      return endpoint.ok ? [endpoint.value.ip] : [];
    });
    return [{ name: node, addresses, gateways: report.gateways }];
  });

async function listed<T>(
  api: NonNullable<Agents['api']>,
  path: string,
  parse: (object: unknown) => Result<T>,
): Promise<readonly T[]> {
  const { items = [] } = (await api(path)) as { readonly items?: readonly unknown[] };
  return items.map(parse).flatMap(one => (one.ok ? [one.value] : []));
}

/** Rejects where the user may not list policies, pods or namespaces. */
export async function judge(
  api: NonNullable<Agents['api']>,
  mesh: MeshReport,
  self: string,
  packet: Packet,
): Promise<Judgement> {
  const [policies, pods, namespaces] = await Promise.all([
    listed(api, '/apis/networking.k8s.io/v1/networkpolicies', parsePolicy),
    listed(api, '/api/v1/pods', parsePod),
    listed(api, '/api/v1/namespaces', parseNamespace),
  ]);
  const cluster: Cluster = { self, policies, pods, namespaces, nodes: nodesOf(mesh), unknown: [] };
  const verdict = evaluate(cluster, packet);
  return { allowed: verdict.allowed, words: verdictWords(cluster, packet, verdict) };
}
