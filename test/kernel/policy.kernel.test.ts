/** NetworkPolicies in Debian's kernel, whose nftables is older than many a host's: sets of ranges, verdict maps, cuts. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NETWORKPOLICIES } from '../apiserver/resources.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { type LabPod, type PolicyLab, startPolicyLab } from '../policy/lab.ts';

await enterLab(import.meta.filename);

let lab: PolicyLab;

before(async () => {
  // x/a and z/a on node1, y/a on node2.
  lab = await startPolicyLab(['a']);
});
after(async () => lab?.end());

const pod = (namespace: string): LabPod => lab.pods().get(`${namespace}/a`) as LabPod;

/** From who to x/a, by both families; what shall pass is waited for longer. */
async function reaches(from: string, port: number, allowed: boolean): Promise<void> {
  for (const ip of [pod('x').pod.v4, pod('x').pod.v6]) {
    const { ok } = await pod(from).prober.try('tcp', ip ?? '', port, allowed ? 20_000 : 1_000);
    assert.equal(ok, allowed, `${from}/a to ${ip}, port ${port}`);
  }
}

/** Blocks with exceptions and ports with ends: elements of several ranges each. */
const SPEC = {
  podSelector: {},
  policyTypes: ['Ingress'],
  ingress: [
    {
      from: [
        { ipBlock: { cidr: '10.42.0.0/16', except: ['10.42.2.0/24'] } },
        { ipBlock: { cidr: 'fd42::/48', except: ['fd42:0:0:2::/64'] } },
      ],
      ports: [{ protocol: 'TCP', port: 70, endPort: 80 }],
    },
    { from: [{ namespaceSelector: { matchLabels: { ns: 'y' } } }], ports: [{ protocol: 'TCP', port: 81 }] },
  ],
};

test('what a policy forbids is dropped and cut, what it allows passes, of both nodes', async () => {
  await reaches('y', 80, true);
  const living = await pod('y').prober.keep('tcp', pod('x').pod.v4 ?? '', 80, 20_000);
  const other = await pod('y').prober.keep('tcp', pod('x').pod.v4 ?? '', 81, 20_000);
  assert.ok(living.first.ok && other.first.ok);
  await lab.policies([{ metadata: { namespace: 'x', name: 'ranges' }, spec: SPEC }]);
  await until('the connection to be cut', async () => ((await living.again(1_000)).ok ? undefined : true));
  assert.ok((await other.again(20_000)).ok, 'a connection that is still allowed lives on');
  await reaches('z', 80, true);
  await reaches('z', 81, false);
  await reaches('y', 80, false);
  await reaches('y', 81, true);
  lab.lab.api.store.remove(NETWORKPOLICIES, 'x', 'ranges');
  await lab.settled();
  await reaches('y', 80, true);
});
