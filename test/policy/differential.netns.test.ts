/** Random policies, real agents, real packets: what passes is what `evaluate` says. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PODS } from '../apiserver/resources.ts';
import { enterLab } from '../lab/reenter.ts';
import { newPick, policyObject } from './clusters.ts';
import { clusterOf, everyPair, mayPass, type PolicyLab, startPolicyLab, wrongOf } from './lab.ts';
import type { Protocol } from './prober.ts';

await enterLab(import.meta.filename);

const SEED = Number(process.env.WEFT_SEED ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env.WEFT_ROUNDS ?? 8);

const WHAT: readonly (readonly [Protocol, number])[] = [
  ['tcp', 80],
  ['tcp', 81],
  ['udp', 80],
  ['sctp', 81],
  ['icmp', 0],
];

let lab: PolicyLab;

before(async () => {
  lab = await startPolicyLab();
});
after(async () => lab?.end());

for (let round = 0; round < ROUNDS; round += 1)
  test(`random policies, seed ${SEED + round}`, async () => {
    const pick = newPick(SEED + round);
    const pods = [...lab.pods().values()];
    // From one state to the next without a pause between: that is where a difference would be forgotten.
    const { store } = lab.lab.api;
    if (pick.chance(0.3)) await lab.clear();
    for (const { namespace, name } of pick.some(pods, 2))
      store.patch(
        PODS,
        namespace,
        name,
        { metadata: { labels: { color: pick.one(['red', 'blue', null]) } } },
        'main',
      );
    const ips = pods.flatMap(({ pod }) => [pod.v4 ?? '', pod.v6 ?? '']);
    const made = Array.from({ length: 1 + pick.below(4) }, (_, n) =>
      policyObject(pick, `r${round}-${n}`, ips),
    );
    await lab.policies(made);
    const clusters = ['node1', 'node2'].map(name => clusterOf(lab, name));
    const probes = everyPair(lab, WHAT).map(probe => ({ ...probe, allowed: mayPass(clusters, probe) }));
    const wrong = await wrongOf(probes);
    assert.deepEqual(
      wrong,
      [],
      `${wrong.length} of ${probes.length} with policies ${JSON.stringify(clusters[0]?.policies.map(p => p.key))}`,
    );
  });
