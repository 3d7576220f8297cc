/** A policy that selects all pods of the bench, so that each ADD has to put its pod into a class before it answers, or none of them. */
import type { AgentPolicyReport } from '../../agent/policy.ts';
import { NETWORKPOLICIES, PODS } from '../apiserver/resources.ts';
import type { Lab, Member } from '../lab/lab.ts';
import { until } from '../lab/wait.ts';
import { podName } from './plugin.ts';

const policyFor = (app: string) => ({
  metadata: { namespace: 'default', name: 'bench' },
  spec: {
    podSelector: { matchLabels: { app } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'bench' } } }], ports: [{ port: 8080 }] }],
    policyTypes: ['Ingress'],
  },
});

const report = async (node: Member): Promise<AgentPolicyReport | undefined> =>
  ((await node.status()) as { readonly policy?: AgentPolicyReport } | undefined)?.policy;

/** So many policies, and nothing is under way. */
export const settled = (node: Member, policies: number): Promise<true> =>
  until(
    `${policies} policies in the kernel`,
    async () => {
      const now = await report(node);
      return now?.enabled && now.policies === policies && !now.dirty && now.error === undefined
        ? true
        : undefined;
    },
    60_000,
    100,
  );

/** The API shows its pods long before a runtime makes them, as with a real kubelet. */
export async function guardPods(lab: Lab, node: Member, pods: number): Promise<void> {
  for (let n = 0; n < pods; n += 1)
    lab.api.store.create(PODS, 'default', {
      metadata: { name: podName(n), labels: { app: 'bench' } },
      spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] },
    });
  lab.api.store.create(NETWORKPOLICIES, 'default', policyFor('bench'));
  await settled(node, 1);
}

/** The same policy, for other pods than those. */
export async function guardOthers(lab: Lab, node: Member): Promise<void> {
  lab.api.store.replace(NETWORKPOLICIES, 'default', 'bench', policyFor('others'), 'main');
  const unclassed = async (): Promise<true | undefined> => {
    const now = await report(node);
    return now?.enabled && now.classes === 0 && !now.dirty ? true : undefined;
  };
  await until('no pod to have a class', unclassed, 60_000, 100);
}
