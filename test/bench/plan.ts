/** The plan for 1,000 nodes, and its renderings: milliseconds. */
import { meshTable } from '../../mesh/nft.ts';
import { plan } from '../../mesh/plan.ts';
import { meshRoutes } from '../../mesh/routes.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';
import { facts, node, settings } from '../mesh/facts.ts';
import { median } from './stats.ts';

export type PlanBench = { readonly nodes: number; readonly planMs: number; readonly renderMs: number };

const many = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    node(i, {
      name: `n${i}`,
      uid: String(i).padStart(6, '0'),
      publicKey: Buffer.alloc(32, `key ${i} `).toString('base64') as PublicKey,
      podCidrs: [
        `10.${64 + (i >> 8)}.${i & 255}.0/24` as Cidr,
        `fd42:0:${(i + 1).toString(16)}::/64` as Cidr,
      ],
      endpoints: [
        { t: 'ext', a: `203.0.${113 + (i >> 8)}.${i & 255}:51820` as Endpoint },
        { t: 'host', a: `[2001:db8::${i.toString(16)}]:51820` as Endpoint },
      ],
    }),
  );

export function benchPlan(count: number, rounds = 30): PlanBench {
  const nodes = many(count);
  const clusterCidrs = ['10.64.0.0/14' as Cidr, 'fd42::/32' as Cidr];
  const self = { name: 'n0', publicKey: nodes[0]?.publicKey as PublicKey };
  const input = facts(nodes, { self, settings: settings({ clusterCidrs }) });
  const planMs: number[] = [];
  const renderMs: number[] = [];
  for (let n = 0; n < rounds; n += 1) {
    const t0 = performance.now();
    const made = plan(input);
    const t1 = performance.now();
    meshRoutes(made);
    meshTable(made);
    planMs.push(t1 - t0);
    renderMs.push(performance.now() - t1);
  }
  return { nodes: count, planMs: median(planMs), renderMs: median(renderMs) };
}
