/** What an agent may write, and with which rights it runs. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { inNode } from '../pods.ts';
import { agentProcess, podOf } from './agent.ts';
import type { World } from './world.ts';

/** NET_ADMIN (bit 12) and NET_RAW (bit 13). */
const CAPABILITIES = '0000000000003000';

const fieldsOf = (status: string): ReadonlyMap<string, string> =>
  new Map(status.split('\n').map(line => line.split(/:\s+/) as [string, string]));

export const rights = (world: () => World): void => {
  it('runs with NET_ADMIN and NET_RAW, and nothing else of the host', async () => {
    const { cluster } = world();
    const pid = await agentProcess(cluster, 'node1');
    const read = async (...argv: string[]) => (await inNode(cluster, 'node1', argv)).trim();
    const status = fieldsOf(await read('cat', `/proc/${pid}/status`));
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) assert.equal(status.get(set), CAPABILITIES, set);
    assert.equal(status.get('NoNewPrivs'), '1');
    assert.equal(status.get('Seccomp'), '2', 'a filter, by RuntimeDefault');
    const mounts = (await read('cat', `/proc/${pid}/mountinfo`)).split('\n').map(line => line.split(' '));
    const options = (path: string) => mounts.find(fields => fields[4] === path)?.[5]?.split(',') ?? [];
    assert.ok(options('/').includes('ro'), 'the root is read-only');
    assert.ok(options('/proc/sys').includes('ro'));
    assert.ok(options('/host/proc/sys/net').includes('rw'));
    const namespace = (of: number | string, kind: string) => read('readlink', `/proc/${of}/ns/${kind}`);
    assert.equal(await namespace(pid, 'net'), await namespace(1, 'net'));
    for (const kind of ['pid', 'mnt', 'ipc'])
      assert.notEqual(await namespace(pid, kind), await namespace(1, kind), `the host's ${kind} namespace`);
    const script = 'cat /sys/fs/cgroup"$(sed -n s/^0::// /proc/$0/cgroup)"/memory.max';
    const limit = await cluster.exec('node1', ['sh', '-c', script, String(pid)]);
    if (limit.code === 0) assert.equal(limit.stdout.trim(), String(250 << 20));
    const modes = await read(
      'sh',
      '-c',
      'stat -c "%a %u %n" /run/weft/*.sock /var/lib/weft /var/lib/weft/*key*',
    );
    for (const line of modes.split('\n')) assert.match(line, /^(600|700) 0 /);
    assert.match(modes, /agent\.sock[\s\S]*status\.sock[\s\S]*key/);
  });

  it('lets an agent write its own annotations on its own Node and nothing else', async () => {
    const { cluster, must } = world();
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
    assert.match(status.stderr, /cannot get resource "nodes\/status"/);
  });
};
