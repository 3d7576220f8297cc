/** A cluster and what becomes of it, at random. */
import fc from 'fast-check';
import type { World } from './naive.ts';
import { pod, policy, world } from './world.ts';

type Step = (old: World) => World;

const otherPod: fc.Arbitrary<Step> = fc
  .nat(5)
  .chain(n =>
    pod(n).map(next => old => ({ ...old, pods: old.pods.map((one, i) => (i === n ? next : one)) })),
  );
const lessPods: fc.Arbitrary<Step> = fc
  .nat(5)
  .map(n => old => ({ ...old, pods: old.pods.filter((_, i) => i !== n) }));
const otherPolicy: fc.Arbitrary<Step> = fc.nat(3).chain(n =>
  policy(`policy${n}`).map(next => old => ({
    ...old,
    policies: [...old.policies.filter(one => one.metadata.name !== next.metadata.name), next],
  })),
);
const lessPolicies: fc.Arbitrary<Step> = fc
  .nat(3)
  .map(n => old => ({ ...old, policies: old.policies.filter((_, i) => i !== n) }));
const otherNamespaces: fc.Arbitrary<Step> = world.map(next => old => ({
  ...old,
  namespaces: next.namespaces,
}));
const lessNodes: fc.Arbitrary<Step> = fc
  .nat(1)
  .map(n => old => ({ ...old, nodes: old.nodes.filter((_, i) => i !== n) }));
const allOther: fc.Arbitrary<Step> = world.map(next => () => next);

const step = fc.oneof(
  { weight: 4, arbitrary: otherPod },
  { weight: 1, arbitrary: lessPods },
  { weight: 4, arbitrary: otherPolicy },
  { weight: 1, arbitrary: lessPolicies },
  { weight: 1, arbitrary: otherNamespaces },
  { weight: 1, arbitrary: lessNodes },
  { weight: 1, arbitrary: allOther },
);

/** The first world and those that follow from it, each by one step. */
export const history = (steps: number): fc.Arbitrary<readonly World[]> =>
  fc
    .tuple(world, fc.array(step, { minLength: 1, maxLength: steps }))
    .map(([first, all]) =>
      all.reduce<World[]>((worlds, next) => worlds.concat(next(worlds.at(-1) as World)), [first]),
    );
