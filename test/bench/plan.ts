/** The plan for 1,000 nodes, and its renderings: milliseconds. */
import { newPool, type Pool } from '../../cni/ipam.ts';
import { meshTable } from '../../mesh/nft.ts';
import { plan } from '../../mesh/plan.ts';
import { meshRoutes } from '../../mesh/routes.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';
import { facts, node, settings } from '../mesh/facts.ts';
import { median } from './stats.ts';

export type PlanBench = { readonly nodes: number; readonly planMs: number; readonly renderMs: number };

export type PoolBench = { readonly held: number; readonly emptyUs: number; readonly fullUs: number };

/** Microseconds of one address taken and freed. */
function takeUs(pool: Pool, rounds: number): number {
  const times: number[] = [];
  for (let n = 0; n < rounds; n += 1) {
    const began = performance.now();
    const taken = pool.take('ns/pod', n);
    if (taken.kind === 'taken') pool.free(taken.ip, n);
    times.push((performance.now() - began) * 1_000);
  }
  return median(times);
}

/** A /16 with a few pods, and one with all addresses but a hundred held. */
export function benchPool(rounds = 2_000): PoolBench {
  const cidr = '10.42.0.0/16' as Cidr;
  const [empty, full] = [newPool(cidr), newPool(cidr)];
  const held = 65_533 - 100;
  for (let n = 0; n < held; n += 1) full.take(`ns/pod${n}`, 0);
  takeUs(empty, rounds);
  return { held, emptyUs: takeUs(empty, rounds), fullUs: takeUs(full, rounds) };
}

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
