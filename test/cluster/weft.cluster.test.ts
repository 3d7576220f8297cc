/** weft on a real Kubernetes: three nodes, nine pods, the image and the manifest as a user would take them. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { annotations } from '../../discovery/annotations.ts';
import { record } from '../lab/capture.ts';
import { POD_CIDRS } from './addresses.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { clusterUnavailable } from './packages.ts';
import { type Loss, underPings } from './pings.ts';
import { inNode, inPodNetns, kubectl, makePods, processOf, type TestPod } from './pods.ts';
import { run, sleep, until } from './process.ts';
import {
  agentProcess,
  agentStatus,
  killAgent,
  podOf,
  readiness,
  untilMeshed,
  untilRolledOut,
  watchCalls,
  weftImage,
} from './weft.ts';

const MANIFEST = join(import.meta.dirname, '../../manifests/weft-userspace.yaml');

const service = (name: string, selector: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'NodePort',
      ipFamilyPolicy: 'RequireDualStack',
      selector,
      ports: [{ port: 80, targetPort: 8080 }],
    },
  });

const url = (ip: string, port: number | string, path: string): string =>
  `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/${path}`;

/** One line per URL: what it answers, or curl's complaint. */
const ASK = ['bash', '-c', 'for u in "$@"; do curl -gsS -m8 "$u" 2>&1; echo; done', 'bash'] as const;

const sameFamily = (a: string) => (b: string) => a.includes(':') === b.includes(':');

const repeat = <T>(times: number, item: T): readonly T[] => Array.from({ length: times }, () => item);

describe('weft on a real Kubernetes', { skip: clusterUnavailable() ?? false }, () => {
  let cluster: Cluster;
  let pods: readonly TestPod[];
  let first: TestPod;
  let second: TestPod;
  let third: TestPod;

  const must = (args: readonly string[], input = '') => kubectl(cluster, args, input);
  const inPod = (pod: string, argv: readonly string[]) => must(['exec', pod, '--', ...argv]);
  const list = async (kind: string, name: string, path: string): Promise<readonly string[]> =>
    (await must(['get', kind, name, '-o', `jsonpath=${path}`])).split(' ');
  const nodeOf = (pod: string): string | undefined => pods.find(p => p.name === pod)?.node;
  const outside = (argv: readonly string[]) => run(['nsenter', `--net=${cluster.underlayNetns}`, ...argv]);

  /** Every answer is a pod's name, and they come from more than one node. */
  const assertSpread = (who: string, answers: readonly string[]): void => {
    const nodes = answers.map(nodeOf);
    assert.ok(!nodes.includes(undefined), `${who} got ${answers.join(', ')}`);
    assert.ok(new Set(nodes).size > 1, `${who} got answers from ${nodes[0]} alone`);
  };

  const assertNothingLost = (losses: readonly Loss[], t: { diagnostic: (text: string) => void }): void => {
    const sum = (of: (loss: Loss) => number) => losses.reduce((total, loss) => total + of(loss), 0);
    t.diagnostic(`${sum(l => l.lost)} of ${sum(l => l.sent)} pings lost on ${losses.length} paths`);
    assert.ok(losses.every(loss => loss.sent > 100));
    assert.deepEqual(
      losses.filter(loss => loss.lost > 0),
      [],
    );
  };

  /** Runs `work` under pings between all nodes; none may be lost and no node may stop being Ready. */
  const invisible = async (
    t: { diagnostic: (text: string) => void },
    work: () => Promise<void>,
  ): Promise<void> => {
    const since = await readiness(cluster);
    const pairs = [[first, second] as const, [third, first] as const];
    assertNothingLost(await underPings(cluster, pairs, work), t);
    assert.deepEqual(await readiness(cluster), since);
  };

  before(async () => {
    const image = await weftImage();
    cluster = await startCluster({ name: 'weft-cluster-weft', images: [image] });
  });

  after(async () => cluster?.stop());

  it('makes NotReady nodes Ready with one kubectl apply', async () => {
    const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].message}{"\\n"}{end}';
    const reasons = (await must(['get', 'nodes', '-o', `jsonpath=${path}`])).split('\n');
    assert.equal(reasons.length, 3);
    for (const reason of reasons) assert.match(reason, /cni plugin not initialized/);
    await must(['apply', '-f', MANIFEST]);
    await cluster.nodesReady(60_000);
    await untilRolledOut(cluster);
    await untilMeshed(cluster);
  });

  it('lets nine pods on three nodes reach each other with their own addresses, both families', async () => {
    await must(['wait', '--for=create', 'serviceaccount/default', '--timeout=30s']);
    const names = cluster.nodes.flatMap(({ name }) => ['a', 'b', 'c'].map(letter => `${name}-${letter}`));
    pods = await makePods(cluster, Object.fromEntries(names.map(name => [name, name.split('-')[0] ?? ''])));
    [first, second, third] = ['node1-a', 'node2-a', 'node3-a'].map(
      name => pods.find(pod => pod.name === name) as TestPod,
    ) as [TestPod, TestPod, TestPod];
    const targets = pods.flatMap(pod => pod.ips);
    assert.equal(new Set(targets).size, 18);
    for (const pod of pods) {
      const seen = await inPod(pod.name, [...ASK, ...targets.map(ip => url(ip, 8080, 'clientip'))]);
      const sources = seen.split('\n').map(line => line.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
      const own = targets.map(target => pod.ips.find(sameFamily(target)));
      assert.deepEqual(sources, own, `what ${targets.join(', ')} saw of ${pod.name}`);
    }
  });

  it('carries more than a packet holds, between nodes, both families', async () => {
    const text = 'x'.repeat(7000);
    for (const ip of third.ips)
      assert.equal(await inPod(second.name, [...ASK, url(ip, 8080, `echo?msg=${text}`)]), text);
  });

  it('answers on a ClusterIP from every node and pod, and on a NodePort from outside, both families', async () => {
    await must(['apply', '-f', '-'], service('echo', { app: 'echo' }));
    const ips = await list('service', 'echo', '{.spec.clusterIPs[*]}');
    assert.equal(ips.length, 2);
    const ready = async () =>
      (await cluster.exec('node1', ['curl', '-gsS', '-m2', url(ips[1] ?? '', 80, 'hostname')])).code === 0;
    await until('the Service on node1', 20_000, ready);
    for (const ip of ips) {
      const argv = [...ASK, ...repeat(12, url(ip, 80, 'hostname'))];
      for (const { name } of pods) assertSpread(name, (await inPod(name, argv)).split('\n'));
      for (const { name } of cluster.nodes)
        assertSpread(name, (await inNode(cluster, name, argv)).split('\n'));
    }
    const [port = ''] = await list('service', 'echo', '{.spec.ports[0].nodePort}');
    for (const ip of cluster.nodes.flatMap(node => [node.ipv4, node.ipv6])) {
      const { stdout } = await outside([...ASK, ...repeat(12, url(ip, port, 'hostname'))]);
      assertSpread(`outside, at ${ip},`, stdout.trim().split('\n'));
    }
  });

  it('leads a pod to itself through a Service, and out of the cluster by the node’s address', async () => {
    await must(['apply', '-f', '-'], service('self', { pod: first.name }));
    for (const ip of await list('service', 'self', '{.spec.clusterIPs[*]}')) {
      const ask = async () => (await inPod(first.name, [...ASK, url(ip, 80, 'hostname')])) === first.name;
      await until(`${first.name} reaches itself at ${ip}`, 20_000, ask);
    }
    // The API server is outside of the nodes and has no way back to a pod's address.
    assert.match(
      await inPod(second.name, ['curl', '-ksS', '-m8', 'https://10.43.0.1/version']),
      /gitVersion/,
    );
  });

  it('sends nothing of pods in clear, and lets nobody reach them past the tunnel', async () => {
    const file = join(cluster.logs, 'underlay.pcap');
    const capture = await record('br0', file, ['nsenter', `--net=${cluster.underlayNetns}`]);
    const secret = 'between-pods-of-two-nodes';
    for (const ip of second.ips) await inPod(first.name, [...ASK, url(ip, 8080, `echo?msg=${secret}`)]);
    const [port = ''] = await list('service', 'echo', '{.spec.ports[0].nodePort}');
    const control = 'from-outside-to-a-node-port';
    await outside(['curl', '-gsS', url(cluster.nodes[0]?.ipv4 ?? '', port, `echo?msg=${control}`)]);
    const [own = ''] = first.ips;
    await outside(['ip', 'route', 'add', own, 'via', cluster.nodes[0]?.ipv4 ?? '']);
    const direct = await outside(['curl', '-gsS', '-m2', url(own, 8080, 'hostname')]);
    await outside(['ip', 'route', 'del', own]);
    await sleep(200);
    const wire = await capture.stop();
    assert.ok(wire.holds(Buffer.from(control)), 'the capture sees what is in clear');
    assert.ok(!wire.holds(Buffer.from(secret)), 'bytes of pods in clear');
    assert.ok((await wire.count('udp port 51820')) > 10);
    const podNets = `src net ${POD_CIDRS[0]} or src net ${POD_CIDRS[1]}`;
    assert.equal(await wire.count(podNets), 0, 'packets with addresses of pods');
    assert.ok((await wire.count(`dst host ${own}`)) > 0, 'the direct attempt was on the wire');
    assert.equal(direct.code, 28, `direct: ${direct.stdout}${direct.stderr}`);
    rmSync(file);
  });

  it('frees the address and leaves no link when a pod is deleted', async () => {
    const [gone] = await makePods(cluster, { gone: 'node2' });
    const status = await agentStatus(cluster, 'node2');
    const lease = status.pods.find(({ pod }) => pod?.name === 'gone');
    assert.ok(gone && lease);
    assert.deepEqual(lease.ips, gone.ips);
    const traces = async (): Promise<string> => {
      const script = `ls /run/weft/pods; ip -o link show ${lease.link}; nft list table bridge weft; nft list table inet weft
        ip route; ip -6 route; ip neigh; ip -6 neigh; grep -l '"gone"' /run/weft/pods/*`;
      return (await cluster.exec('node2', ['sh', '-c', script])).stdout;
    };
    const found = async () => {
      const text = await traces();
      return [lease.link, ...lease.ips, '/run/weft/pods/'].filter(trace => text.includes(trace));
    };
    assert.equal((await found()).length, 4);
    await must(['delete', 'pod', 'gone']);
    await until('no trace of the pod', 20_000, async () => (await found()).length === 0).catch(
      async error => {
        throw new Error(`${error.message}: ${(await found()).join(', ')} in ${await traces()}`);
      },
    );
    const { cni, pods: leases } = await agentStatus(cluster, 'node2');
    assert.deepEqual(
      cni.pools.map(pool => pool.used),
      status.cni.pools.map(pool => pool.used - 1),
    );
    assert.ok(!leases.some(({ pod }) => pod?.name === 'gone'));
  });

  it('answers STATUS, to containerd and by hand', async () => {
    const calls = await watchCalls(cluster, 'node1');
    const answered = async () => (await calls.read()).filter(call => call.startsWith('STATUS')).length >= 2;
    await until('two STATUS calls of containerd', 30_000, answered);
    await calls.end();
    assert.deepEqual(new Set(await calls.read()), new Set(['STATUS 0']));
    const byHand = await cluster.exec('node1', ['/opt/cni/bin/weft-cni'], {
      input: '{"cniVersion":"1.1.0","name":"weft","type":"weft-cni"}',
      env: { CNI_COMMAND: 'STATUS', CNI_PATH: '/opt/cni/bin' },
    });
    assert.deepEqual([byHand.code, byHand.stdout], [0, '']);
  });

  it('lets an agent write its own annotations on its own Node and nothing else', async () => {
    const pod = await podOf(cluster, 'weft', 'node1');
    const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod}`];
    const token = await must(['-n', 'weft', 'create', 'token', 'weft', ...bound]);
    const server = await must(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}']);
    const patch = (node: string, body: object, more: readonly string[] = []) => {
      const as = [
        '--kubeconfig=/dev/null',
        `--server=${server}`,
        '--insecure-skip-tls-verify',
        `--token=${token}`,
      ];
      // The server decides as always and stores nothing: the agents would follow.
      const dry = ['--dry-run=server', '--type=merge', `--patch=${JSON.stringify(body)}`];
      return cluster.kubectl([...as, 'patch', 'node', node, ...dry, ...more]);
    };
    const annotation = (name: string) => ({ metadata: { annotations: { [name]: 'x' } } });
    const own = await patch('node1', annotation('weft.network/public-key'));
    assert.equal(own.code, 0, own.stderr);
    for (const [words, node, body] of [
      [/only the Node that its pod runs on/, 'node2', annotation('weft.network/public-key')],
      [/may change only the annotations/, 'node1', annotation('weft.network/relay')],
      [/may change only the annotations/, 'node1', annotation('other')],
      [/nothing of a Node but/, 'node1', { metadata: { labels: { a: 'b' } } }],
      [/nothing of a Node but/, 'node1', { spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } }],
    ] as const) {
      const { code, stderr } = await patch(node, body);
      assert.notEqual(code, 0);
      assert.match(stderr, words);
    }
    const status = await patch('node1', { status: { phase: 'x' } }, ['--subresource=status']);
    assert.match(status.stderr, /cannot (get|patch) resource "nodes\/status"/);
  });

  it('loses nothing while the agents are restarted by kubectl rollout restart', async t => {
    await invisible(t, async () => {
      await must(['-n', 'weft', 'rollout', 'restart', 'daemonset/weft']);
      await untilRolledOut(cluster);
      await untilMeshed(cluster);
    });
  });

  it('loses nothing when an agent is killed, and wires the pod that starts just then', async t => {
    await invisible(t, async () => {
      await killAgent(cluster, 'node1', await agentProcess(cluster, 'node1'));
      const [late] = await makePods(cluster, { late: 'node1' });
      for (const ip of second.ips)
        assert.equal(await inPod('late', [...ASK, url(ip, 8080, 'hostname')]), second.name);
      assert.equal(late?.ips.length, 2);
      await untilMeshed(cluster);
    });
  });

  it('loses nothing when the API server is killed, and an agent too while it is away', async t => {
    await invisible(t, async () => {
      const pid = await agentProcess(cluster, 'node1');
      await cluster.killApi();
      await killAgent(cluster, 'node1', pid);
      const serves = async () => {
        const { ready, api, peers } = await agentStatus(cluster, 'node1');
        return ready && !api.connected && peers.length === 2;
      };
      await until('an agent that serves from its disk', 40_000, serves);
      await sleep(1000);
      await cluster.startApi();
      await untilMeshed(cluster, 60_000);
    });
  });

  it('says which annotation is broken, and breaks nothing by it', async t => {
    const broken = Object.values(annotations);
    const say = async (): Promise<string> =>
      must([
        'get',
        'events',
        '--field-selector=reason=InvalidAnnotation',
        '-o',
        'jsonpath={.items[*].message}',
      ]);
    const work = async (): Promise<void> => {
      for (const { name } of broken) {
        await must(['annotate', '--overwrite', 'node', 'node2', `${name}=<no value>`]);
        await until(`an Event about ${name}`, 15_000, async () =>
          (await say()).includes(`${name}="<no value>"`),
        );
      }
    };
    assertNothingLost(await underPings(cluster, [[third, first]], work), t);
    for (const { name } of broken.filter(({ writer }) => writer === 'user'))
      await must(['annotate', 'node', 'node2', `${name}-`]);
    await untilMeshed(cluster);
    const values = await must(['get', 'node', 'node2', '-o', 'jsonpath={.metadata.annotations}']);
    assert.ok(!values.includes('<no value>'), 'what the agent writes is put right by it');
    for (const ip of second.ips)
      assert.equal(await inPod(first.name, [...ASK, url(ip, 8080, 'hostname')]), second.name);
  });

  it('has its tunnels back when wireguard-go is killed, and killed again', async t => {
    const pod = await podOf(cluster, 'weft-wireguard', 'node2');
    const { pid } = await processOf(cluster, ['-n', 'weft', pod]);
    const engine = () => inNode(cluster, 'node2', ['cat', `/proc/${pid}/task/${pid}/children`]);
    const losses = await underPings(
      cluster,
      [
        [second, first],
        [second, third],
      ],
      async () => {
        for (const _ of ['first', 'second']) {
          const old = await engine();
          await inNode(cluster, 'node2', ['kill', '-9', old]);
          await until('another wireguard-go', 10_000, async () => ![old, ''].includes(await engine()));
          for (const ip of [...first.ips, ...third.ips])
            await until(`${ip} reached`, 20_000, async () => {
              const ping = inPodNetns(second, ['ping', '-c1', '-W1', ip]);
              return (await cluster.exec('node2', ping)).code === 0;
            });
        }
      },
    );
    t.diagnostic(losses.map(({ path, sent, lost }) => `${path}: ${lost} of ${sent} lost`).join('; '));
    assert.ok(losses.every(({ sent, lost }) => lost < sent));
  });
});
