/** Kubernetes' own 48 cases with real packets: nine pods on two nodes with real agents, both families. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NAMESPACES as NAMESPACE_KIND, NETWORKPOLICIES, PODS as POD_KIND } from '../apiserver/resources.ts';
import { enterLab } from '../lab/reenter.ts';
import { everyPair, type PolicyLab, type Probe, startPolicyLab, wrongOf } from './lab.ts';
import type { Protocol } from './prober.ts';
import { type Case, expected, NAME_LABEL, NAMESPACES, PODS, type Step } from './upstream/case.ts';
import { CASES } from './upstream/cases.ts';

await enterLab(import.meta.filename);

let lab: PolicyLab;

before(async () => {
  lab = await startPolicyLab();
});
after(async () => lab?.end());

type Labels = Readonly<Record<string, string>>;

/** A merge patch that leaves exactly these. */
const exactly = (now: Labels, wanted: Labels) => ({
  metadata: { labels: { ...Object.fromEntries(Object.keys(now).map(key => [key, null])), ...wanted } },
});

const labelsOf = (object: { readonly metadata: unknown }): Labels =>
  ((object.metadata as { readonly labels?: Labels }).labels ?? {}) as Labels;

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Labels and policies as the step wants them; what is there already is left alone. */
async function enter(step: Step): Promise<void> {
  const { store } = lab.lab.api;
  for (const name of NAMESPACES) {
    const wanted = { [NAME_LABEL]: name, ...(step.namespaceLabels?.[name] as Labels | undefined) };
    const now = labelsOf(store.get(NAMESPACE_KIND, undefined, name));
    if (!same(now, wanted)) store.patch(NAMESPACE_KIND, undefined, name, exactly(now, wanted), 'main');
  }
  for (const key of PODS) {
    const [namespace = '', name = ''] = key.split('/');
    const wanted = { pod: name, ...(step.podLabels?.[key] as Labels | undefined) };
    const now = labelsOf(store.get(POD_KIND, namespace, name));
    if (!same(now, wanted)) store.patch(POD_KIND, namespace, name, exactly(now, wanted), 'main');
  }
  const keyOf = ({ metadata }: { readonly metadata: unknown }): string => {
    const { namespace, name } = metadata as { readonly namespace: string; readonly name: string };
    return `${namespace}/${name}`;
  };
  const wanted = new Map(step.policies.map(policy => [keyOf(policy), policy]));
  for (const policy of store.list(NETWORKPOLICIES)) {
    const [namespace = '', name = ''] = keyOf(policy).split('/');
    const next = wanted.get(keyOf(policy));
    if (next === undefined) store.remove(NETWORKPOLICIES, namespace, name);
    else if (!same(policy.spec, next.spec))
      store.replace(NETWORKPOLICIES, namespace, name, { ...policy, spec: next.spec } as never, 'main');
    wanted.delete(keyOf(policy));
  }
  await lab.policies([...wanted.values()] as never);
}

function probesOf(step: Step, family: 4 | 6 | undefined): readonly Probe[] {
  return step.checks.flatMap(check => {
    const protocol = check.protocol.toLowerCase() as Protocol;
    return everyPair(lab, [[protocol, check.port]])
      .filter(({ ip }) => family === undefined || ip.includes(':') === (family === 6))
      .map(probe => ({ ...probe, allowed: expected(check, probe.from.key, probe.to.key) }));
  });
}

/** Cases that name addresses are run for each family, the others for both at once. */
function runsOf({
  steps,
}: Case): readonly { readonly steps: readonly Step[]; readonly family: 4 | 6 | undefined }[] {
  const at = (family: 4 | 6) =>
    steps(key => {
      const { v4, v6 } = lab.pods().get(key)?.pod ?? {};
      return (family === 4 ? v4 : v6) ?? '';
    });
  if (same(at(4), at(6))) return [{ steps: at(4), family: undefined }];
  return ([4, 6] as const).map(family => ({ steps: at(family), family }));
}

for (const one of CASES)
  test(one.name, async () => {
    for (const { steps, family } of runsOf(one))
      for (const [n, step] of steps.entries()) {
        await enter(step);
        const probes = probesOf(step, family);
        const wrong = await wrongOf(probes);
        assert.deepEqual(wrong, [], `${wrong.length} of ${probes.length} in step ${n + 1}`);
      }
  });
