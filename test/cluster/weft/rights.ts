/** What an agent may write. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { podOf } from './agent.ts';
import type { World } from './world.ts';

export const rights = (world: () => World): void => {
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
