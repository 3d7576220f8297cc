/** What the specification's words demand of packets, point by point, on two nodes with real agents. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { POLICY_TABLE } from '../../constants.ts';
import { PODS } from '../apiserver/resources.ts';
import type { Member } from '../lab/lab.ts';
import { enterLab } from '../lab/reenter.ts';
import { type CniResult, callPlugin, NETWORK } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { type LabPod, type PolicyLab, startPolicyLab } from './lab.ts';
import { both, deny, onlyIn, policy, reaches } from './point.ts';

await enterLab(import.meta.filename);

let lab: PolicyLab;
let one: Member;
let two: Member;

before(async () => {
  lab = await startPolicyLab(['a', 'b']);
  [one, two] = lab.nodes as [Member, Member];
});
after(async () => lab?.end());

/** x/a, y/a and z/a are on node1; the b's on node2. */
const pod = (key: string): LabPod => lab.pods().get(key) as LabPod;

/** From a node's own network. */
const fromNode = (node: Member, ip: string | undefined, port: number): Promise<boolean> => {
  const code = `require('net').connect({host:'${ip}',port:${port}}).on('connect',()=>process.exit(0)).on('error',()=>process.exit(1));setTimeout(()=>process.exit(1),${700})`;
  return node.namespace.run([process.execPath, '-e', code]).then(
    () => true,
    () => false,
  );
};

test('replies of allowed connections pass, whatever the other direction’s policies say', async () => {
  await onlyIn(lab, deny('y', 'Egress'));
  for (const ip of both(pod('y/b'))) await reaches(pod('x/a'), ip, 'tcp', 80, true);
  for (const ip of both(pod('y/a'))) await reaches(pod('x/a'), ip, 'udp', 80, true);
  for (const ip of both(pod('x/a'))) await reaches(pod('y/b'), ip, 'tcp', 80, false);
});

test('ICMP errors about an allowed packet come back', async () => {
  await onlyIn(lab, deny('x', 'Ingress'));
  for (const ip of [...both(pod('y/a')), ...both(pod('y/b'))]) {
    const source = await reaches(pod('x/a'), ip, 'udp', 9, true);
    assert.equal(source, 'refused');
  }
});

test('rules with ports let no ICMP pass, rules without do; neighbour discovery is not touched', async () => {
  const ports = [{ protocol: 'TCP', port: 80 }];
  await onlyIn(
    lab,
    policy('x', 'ports', { policyTypes: ['Ingress'], ingress: [{ ports }] }),
    policy('y', 'peers', { policyTypes: ['Ingress'], ingress: [{ from: [{ namespaceSelector: {} }] }] }),
    deny('z', 'Ingress', 'Egress'),
  );
  for (const name of ['a', 'b']) {
    for (const ip of both(pod(`x/${name}`))) {
      await reaches(pod('y/a'), ip, 'icmp', 0, false);
      await reaches(pod('y/a'), ip, 'tcp', 80, true);
    }
    for (const ip of both(pod(`y/${name}`))) await reaches(pod('x/b'), ip, 'icmp', 0, true);
    for (const ip of both(pod(`z/${name}`))) await reaches(pod('x/b'), ip, 'icmp', 0, false);
  }
  const { namespace } = pod('z/a').pod;
  await namespace.run(['ip', '-6', 'neigh', 'flush', 'all', 'nud', 'stale']);
  // The gateway is the node's own: what a pod sends to it is no forwarded traffic.
  await namespace.run(['ping', '-n', '-c', '1', '-W', '5', 'fd42:0:0:1::1']);
});

test('a node reaches its own pods whatever the policies, and no other node does', async () => {
  await onlyIn(lab, deny('x', 'Ingress', 'Egress'), deny('y', 'Ingress', 'Egress'));
  for (const ip of both(pod('x/a'))) {
    assert.ok(await fromNode(one, ip, 80), `node1 to ${ip}`);
    assert.equal(await fromNode(two, ip, 80), false, `node2 to ${ip}`);
  }
  for (const ip of both(pod('y/b'))) assert.ok(await fromNode(two, ip, 80), `node2 to ${ip}`);
});

test('an ipBlock of a Node’s address lets that node’s traffic through the tunnel pass', async () => {
  const from = [{ ipBlock: { cidr: '192.0.2.2/32' } }, { ipBlock: { cidr: '2001:db8::2/128' } }];
  await onlyIn(lab, policy('x', 'webhook', { policyTypes: ['Ingress'], ingress: [{ from }] }));
  for (const ip of both(pod('x/a'))) {
    assert.ok(await fromNode(two, ip, 80), `node2 to ${ip}`);
    await reaches(pod('y/b'), ip, 'tcp', 80, false);
  }
  await onlyIn(
    lab,
    policy('x', 'webhook', {
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.7/32' } }] }],
    }),
  );
  assert.equal(await fromNode(two, pod('x/a').pod.v4, 80), false);
});

/** A Service as kube-proxy makes it: DNAT on the way in, and masquerading of what comes back to its sender. */
async function service(node: Member, ip: string, target: LabPod): Promise<void> {
  const v6 = ip.includes(':');
  const family = v6 ? 'ip6' : 'ip';
  const address = v6 ? target.pod.v6 : target.pod.v4;
  const to = v6 ? `[${address}]:80` : `${address}:80`;
  await node.namespace.run(['nft', '-f', '-'], {
    stdin: `table ${family} services {
      chain pre { type nat hook prerouting priority dstnat; ${family} daddr ${ip} tcp dport 8080 dnat to ${to}; }
      chain post { type nat hook postrouting priority srcnat; ${family} saddr ${address} ${family} daddr ${address} masquerade; }
    }\n`,
  });
}

test('through a Service policies mean the pod behind it, and a pod always reaches itself', async () => {
  const ports = [{ protocol: 'TCP', port: 80 }];
  const to = [{ namespaceSelector: { matchLabels: { ns: 'y' } } }];
  await service(one, '10.43.0.10', pod('y/b'));
  await service(one, 'fd43::10', pod('y/b'));
  await service(one, '10.43.0.11', pod('x/a'));
  await service(one, '10.43.0.12', pod('z/b'));
  try {
    await onlyIn(lab, policy('x', 'out', { policyTypes: ['Ingress', 'Egress'], egress: [{ to, ports }] }));
    for (const ip of ['10.43.0.10', 'fd43::10']) await reaches(pod('x/a'), ip, 'tcp', 8080, true);
    await reaches(pod('x/a'), '10.43.0.12', 'tcp', 8080, false);
    await reaches(pod('x/a'), '10.43.0.11', 'tcp', 8080, true);
    await reaches(pod('y/a'), '10.43.0.11', 'tcp', 8080, false);
  } finally {
    for (const family of ['ip', 'ip6'])
      await one.namespace.run(['nft', 'delete', 'table', family, 'services']);
  }
});

test('a pod that has ended has no part in policies, and who gets its address has its own', async () => {
  await onlyIn(
    lab,
    policy('x', 'friends', { policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }] }] }),
  );
  const friend = await lab.add({ namespace: 'x', name: 'job', node: two });
  await lab.settled();
  await reaches(friend, pod('x/a').pod.v4, 'tcp', 80, true);
  lab.lab.api.store.patch(PODS, 'x', 'job', { status: { phase: 'Succeeded' } }, 'status');
  await lab.settled();
  await reaches(friend, pod('x/a').pod.v4, 'tcp', 80, false);
  await lab.remove('x/job');
});

test('a terminating pod keeps its policies until its address is free', async () => {
  await onlyIn(lab, deny('x', 'Ingress'));

  const gone = await lab.add({ namespace: 'x', name: 'forced', node: one });
  // As `kubectl delete --force`: the object goes, the pod runs on.
  lab.lab.api.store.remove(PODS, 'x', 'forced');
  await lab.settled();
  for (const ip of both(gone)) await reaches(pod('y/b'), ip, 'tcp', 80, false);
  await lab.remove('x/forced');
});

test('labels, namespaces and policies take effect when they change', async () => {
  const from = [
    {
      namespaceSelector: { matchLabels: { team: 'blue' } },
      podSelector: { matchLabels: { role: 'client' } },
    },
  ];
  await onlyIn(lab, policy('x', 'blue', { policyTypes: ['Ingress'], ingress: [{ from }] }));
  const target = pod('x/a').pod.v4;
  await reaches(pod('y/b'), target, 'tcp', 80, false);
  const { store } = lab.lab.api;
  const { NAMESPACES } = await import('../apiserver/resources.ts');
  store.patch(NAMESPACES, undefined, 'y', { metadata: { labels: { team: 'blue' } } }, 'main');
  store.patch(PODS, 'y', 'b', { metadata: { labels: { role: 'client' } } }, 'main');
  await lab.settled();
  await reaches(pod('y/b'), target, 'tcp', 80, true);
  store.patch(NAMESPACES, undefined, 'y', { metadata: { labels: { team: null } } }, 'main');
  await lab.settled();
  await reaches(pod('y/b'), target, 'tcp', 80, false);
  await lab.clear();
  await reaches(pod('y/b'), target, 'tcp', 80, true);
});

test('without a policy there is no table', async () => {
  await lab.clear();
  for (const node of lab.nodes)
    await assert.rejects(node.namespace.run(['nft', 'list', 'table', 'inet', POLICY_TABLE]));
});

for (const [from, to] of [
  ['y/a', 'x/a'],
  ['y/b', 'x/a'],
] as const)
  for (const protocol of ['tcp', 'udp'] as const)
    test(`a connection by ${protocol} from ${from} to ${to} that a new policy forbids is cut, others live on`, async () => {
      await lab.clear();
      const other = await pod('z/b').prober.keep(protocol, pod('y/a').pod.v4 ?? '', 80, 8_000);
      const kept = await Promise.all(
        both(pod(to)).map(ip => pod(from).prober.keep(protocol, ip ?? '', 80, 8_000)),
      );
      for (const { first, again } of kept) {
        assert.ok(first.ok);
        assert.ok((await again(5_000)).ok);
      }
      await lab.policies([deny('x', 'Ingress')]);
      for (const { again } of kept)
        await until(
          'the connection to be cut',
          async () => ((await again(150)).ok ? undefined : true),
          10_000,
        );
      // For good: neither end's next packets bring it back.
      for (const { again, close } of kept) {
        assert.equal((await again(600)).ok, false);
        close();
      }
      assert.ok((await other.again(5_000)).ok);
      other.close();
    });

test('two interfaces of one pod are isolated alike, and each goes by itself', async () => {
  await lab.clear();
  const { pod: own, uid, namespace, name } = pod('x/a');
  const call = { id: own.id, namespace, name, uid, netns: own.namespace.netns };
  const second = (await callPlugin(one, 'ADD', call, NETWORK, 'net1')) as CniResult;
  const ips = second.ips.map(({ address }) => address.split('/')[0] ?? '');
  // The default route stays eth0's, and nobody sends by it as net1: its answers need a table of their own.
  for (const { address, gateway = '' } of second.ips) {
    const family = address.includes(':') ? '-6' : '-4';
    const ip = (...args: readonly string[]) => own.namespace.run(['ip', family, ...args]);
    await ip('rule', 'add', 'from', address, 'table', '100');
    await ip('route', 'add', 'default', 'via', gateway, 'dev', 'net1', 'onlink', 'table', '100');
  }
  const all = async (allowed: boolean, at: readonly (string | undefined)[]): Promise<void> => {
    for (const from of ['y/a', 'y/b']) for (const ip of at) await reaches(pod(from), ip, 'tcp', 80, allowed);
  };
  const eth0 = both(pod('x/a'));
  await all(true, [...eth0, ...ips]);
  await lab.policies([deny('x', 'Ingress')]);
  await all(false, [...eth0, ...ips]);
  const open = policy('x', 'open', { ingress: [{ from: [{ namespaceSelector: {} }] }] });
  await lab.policies([open]);
  await all(true, [...eth0, ...ips]);
  await callPlugin(one, 'DEL', call, { ...NETWORK, prevResult: second }, 'net1');
  await until('the second address to leave the table', async () => {
    const table = await one.namespace.run(['nft', 'list', 'map', 'inet', POLICY_TABLE, 'ingress4']);
    assert.ok(table.includes(`${eth0[0]} : `), table);
    return !table.includes(`${ips[0]} : `) || undefined;
  });
  await all(true, eth0);
  await onlyIn(lab, deny('x', 'Ingress'));
  await all(false, eth0);
});

test('a static pod is known by its config hash', async () => {
  await onlyIn(lab, deny('x', 'Ingress'));
  const started = performance.now();
  const made = await lab.add({
    namespace: 'x',
    name: 'static',
    node: one,
    annotations: { 'kubernetes.io/config.hash': 'feedcafe' },
    uid: 'feedcafe',
  });
  assert.ok(performance.now() - started < 9_000, 'it was waited for as if nobody knew it');
  for (const ip of both(made)) await reaches(pod('y/a'), ip, 'tcp', 80, false);
  await lab.remove('x/static');
});
