/** The weft command from a workstation that has a kubeconfig and nothing else. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, it } from 'node:test';
import { buildPlugin } from '../../../image/build.ts';
import { faults, readSchema } from '../../schema.ts';
import type { Cluster } from '../cluster.ts';
import { kubectl } from '../pods.ts';
import { type Output, run, until } from '../process.ts';
import type { World } from './world.ts';

/** What the documentation says that a user needs, and one who may only look at pods. */
const RULES = [
  { name: 'asker', rules: ['pods=list', 'pods/exec=get,create'] },
  { name: 'looker', rules: ['pods=list'] },
] as const;

async function makeUser(cluster: Cluster, name: string, rules: readonly string[]): Promise<string> {
  const must = (...args: readonly string[]) => kubectl(cluster, args);
  await must('create', 'serviceaccount', name);
  for (const [i, rule] of rules.entries()) {
    const [resource = '', verb = ''] = rule.split('=');
    await must('-n', 'weft', 'create', 'role', `${name}${i}`, `--resource=${resource}`, `--verb=${verb}`);
    const subject = `--serviceaccount=default:${name}`;
    await must('-n', 'weft', 'create', 'rolebinding', `${name}${i}`, `--role=${name}${i}`, subject);
  }
  const token = await must('create', 'token', name);
  const admin = JSON.parse(await must('config', 'view', '--raw', '-o', 'json')) as {
    clusters: { cluster: object }[];
  };
  const path = join(cluster.logs, `${name}.kubeconfig`);
  const config = {
    clusters: [{ name: 'c', cluster: admin.clusters[0]?.cluster }],
    users: [{ name, user: { token } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: name } }],
    'current-context': 'c',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

type Json = { readonly [key: string]: unknown };

export const workstation = (world: () => World): void => {
  let program = '';
  const configs: string[] = [];
  after(() => {
    for (const path of configs) rmSync(path, { force: true });
  });

  /** On a host that is no node. */
  const weft = (kubeconfig: string, ...args: readonly string[]): Promise<Output> => {
    const { cluster } = world();
    const enter = ['nsenter', `--net=${cluster.controlNetns}`, 'env', '-u', 'KUBECONFIG'];
    return run([...enter, process.execPath, program, ...args, '--kubeconfig', kubeconfig]);
  };

  it('asks every agent by exec, with no more rights than the documentation says', async () => {
    const { cluster } = world();
    program = await buildPlugin();
    for (const { name, rules } of RULES) configs.push(await makeUser(cluster, name, rules));
    const [asker = '', looker = ''] = configs;
    const status = await weft(asker, 'status', '-o', 'json');
    const { summary } = JSON.parse(status.stdout) as { summary: Json };
    assert.equal(status.code, 0, status.stdout + status.stderr);
    const { nodes, ready, peers } = summary as { nodes: number; ready: number; peers: Json };
    assert.deepEqual(
      { nodes, ready, established: peers.established },
      { nodes: 3, ready: 3, established: 6 },
    );
    const ping = await weft(asker, 'ping', 'node1', 'node2', '--full');
    assert.match(ping.stdout, /node1 +node2 +\S+ +\d{4} +3\/3/, ping.stderr);
    const refused = await weft(looker, 'status');
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /no agent answers; node1: .*needs get and create on pods\/exec/);
  });

  it('finds nothing broken on this cluster, and knows its kube-proxy, its rights and its admission policy', async () => {
    const { stdout, stderr } = await weft(configs[0] ?? '', 'doctor', '-o', 'json');
    const { findings, unasked } = JSON.parse(stdout || '{}') as {
      findings: { id: string; grade: string; what: string; nodes: string[] }[];
      unasked: unknown[];
    };
    assert.deepEqual(unasked, [], stderr);
    assert.deepEqual(
      findings.filter(f => f.grade === 'error'),
      [],
    );
    for (const id of [
      'admission policy',
      'rights',
      'kube-proxy mode',
      'container runtime',
      'udp reachability',
    ]) {
      const found = findings.filter(f => f.id === id);
      assert.deepEqual(
        [found.length, found[0]?.grade, found[0]?.nodes.length],
        [1, 'ok', 3],
        JSON.stringify(found),
      );
    }
  });

  it('explains the way between two pods, with the policies that the agents know', async () => {
    const { first, second } = world();
    const { stdout, code } = await weft(configs[0] ?? '', 'explain', first.name, `${second.name}:8080`);
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /default\/node1-a \(\S+\) on node1 → default\/node2-a \(\S+\) on node2, TCP 8080: it arrives/,
    );
    assert.match(stdout, /tunnel to node2, direct, at \S+ \(\w+\): established/);
    assert.match(stdout, /ingress: allowed; no NetworkPolicy isolates pod default\/node2-a/);
  });

  it('explains the way to each backend of a Service, by its name and by its address', async () => {
    const { cluster, first, must } = world();
    const spec = { selector: { app: 'echo' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] };
    await must(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'all' }, spec }),
    );
    const ip = await must(['get', 'service', 'all', '-o', 'jsonpath={.spec.clusterIP}']);
    const explain = (target: string, config = cluster.kubeconfig) =>
      weft(config, 'explain', first.name, target, '-o', 'json');
    const look = async (target: string) => {
      const { stdout, stderr } = await explain(target);
      const found = JSON.parse(stdout || '{}') as { verdict?: string; backends?: { to: { pod: string } }[] };
      assert.deepEqual(faults(readSchema('explain.json'), found), [], stderr);
      return found;
    };
    const everybody = async (target: string) => (await look(target)).backends?.length === world().pods.length;
    await until('all backends', 20_000, () => everybody('svc/all:http'));
    for (const target of ['svc/all', `${ip}:80`, 'all.default.svc:80']) {
      const { verdict, backends } = await look(target);
      assert.deepEqual([verdict, backends?.length], ['arrives', world().pods.length], target);
    }
    const { stdout } = await explain('svc/kubernetes');
    assert.match(stdout, /own address|outside the pod network/);
    const [asker = ''] = configs;
    assert.match(
      (await explain('svc/all', asker)).stderr,
      /your user needs get on services in namespace default/,
    );
    await must(['delete', 'service', 'all']);
  });

  it('prints what docs/schema says, of real agents too', async () => {
    const { cluster } = world();
    for (const [name, ...args] of [
      ['status', 'status'],
      ['peers', 'peers'],
      ['graph', 'graph'],
      ['doctor', 'doctor'],
      ['ping', 'ping', '-c', '1'],
    ] as const) {
      const { stdout, stderr } = await weft(cluster.kubeconfig, ...args, '-o', 'json');
      assert.deepEqual(faults(readSchema(`${name}.json`), JSON.parse(stdout || '{}')), [], stderr);
    }
  });

  it('is a plugin of kubectl', async () => {
    const { cluster } = world();
    const path = [
      dirname(program),
      join(cluster.logs, '../bin'),
      dirname(process.execPath),
      process.env.PATH,
    ];
    const env = { PATH: path.join(delimiter) };
    const enter = ['nsenter', `--net=${cluster.controlNetns}`, 'kubectl', 'weft'];
    const help = await run([...enter, 'help', 'peers'], { env });
    assert.match(help.stdout, /kubectl weft peers/, help.stderr);
    const peers = await run([...enter, 'peers', '--kubeconfig', cluster.kubeconfig], { env });
    assert.equal(peers.stdout.split('\n').filter(line => /established/.test(line)).length, 6, peers.stderr);
  });
};
