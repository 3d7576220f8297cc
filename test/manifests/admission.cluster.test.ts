/** What the real kube-apiserver says to the manifests, and to an agent that wants more than it may. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openClient } from '../../discovery/client.ts';
import { clearing } from '../../discovery/condition.ts';
import { type ControlPlane, startControlPlane } from '../cluster/api.ts';
import { clusterUnavailable } from '../cluster/packages.ts';
import type { Output } from '../cluster/process.ts';

const FOLDER = join(import.meta.dirname, '../../manifests');

const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });

const agentPod = (nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `agent-${nodeName}`, namespace: 'weft' },
  spec: { nodeName, serviceAccountName: 'weft', containers: [{ name: 'agent', image: 'none' }] },
});

const kubeconfigOf = (server: string, token: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'a', cluster: { server, 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'a', user: { token } }],
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  'current-context': 'a',
});

const annotate = (name: string, value: string | null) => ({ metadata: { annotations: { [name]: value } } });

describe('manifests on a real API server', { skip: clusterUnavailable(['kubernetes']) ?? false }, () => {
  let api: ControlPlane;
  let token: string;
  const folder = mkdtempSync(join(tmpdir(), 'weft-admission-'));

  const must = async (args: readonly string[], input?: unknown): Promise<string> => {
    const output = await api.kubectl(args, input === undefined ? {} : { input: JSON.stringify(input) });
    assert.equal(output.code, 0, `kubectl ${args.join(' ')}: ${output.stderr}`);
    return output.stdout;
  };

  /** With a token and none of the administrator's papers. */
  const as = (bearer: string, ...args: string[]): Promise<Output> =>
    api.kubectl([
      '--kubeconfig=/dev/null',
      `--server=${api.url}`,
      '--insecure-skip-tls-verify',
      `--token=${bearer}`,
      ...args,
    ]);

  const patch = (bearer: string, name: string, body: unknown): Promise<Output> =>
    as(bearer, 'patch', 'node', name, '--type=merge', `--patch=${JSON.stringify(body)}`);

  const allowed = async (body: unknown): Promise<void> => {
    const { code, stderr } = await patch(token, 'node1', body);
    assert.equal(code, 0, stderr);
  };

  const denied = async (words: RegExp, name: string, body: unknown): Promise<void> => {
    const { code, stderr } = await patch(token, name, body);
    assert.notEqual(code, 0);
    assert.match(stderr, words);
  };

  /** A new policy is compiled a moment after it is stored. */
  const untilInForce = async (): Promise<void> => {
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await patch(token, 'node2', annotate('weft.network/public-key', `${tries}`))).code !== 0) return;
      await sleep(100);
    }
    assert.fail('the policy never came into force');
  };

  before(async () => {
    api = await startControlPlane();
    await must(['apply', '-f', join(FOLDER, 'weft.yaml')]);
    for (const object of [node('node1'), node('node2'), agentPod('node1')])
      await must(['create', '-f', '-'], object);
    const uid = await must(['-n', 'weft', 'get', 'pod', 'agent-node1', '-o', 'jsonpath={.metadata.uid}']);
    const bound = ['--bound-object-kind=Pod', '--bound-object-name=agent-node1', `--bound-object-uid=${uid}`];
    token = (await must(['-n', 'weft', 'create', 'token', 'weft', ...bound])).trim();
    await untilInForce();
  });

  after(async () => {
    rmSync(folder, { recursive: true });
    await api?.stop();
  });

  for (const file of ['weft.yaml', 'weft-userspace.yaml', 'uninstall.yaml'])
    test(`${file} is valid, every field is known, and to apply it again changes nothing`, async () => {
      const args = ['apply', '--validate=strict', '--dry-run=server', '-f', join(FOLDER, file)];
      const { code, stdout, stderr } = await api.kubectl(args);
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const changed = stdout
        .split('\n')
        .filter(line => line !== '' && !/unchanged|weft-(wireguard|uninstall) created/.test(line));
      assert.deepEqual(changed, []);
    });

  test('the kustomize overlay is the manifest with its settings', async () => {
    const overlay = join(FOLDER, '../examples/k3s-edge');
    const made = await must(['kustomize', overlay]);
    assert.match(made, /"apiServer": "https:\/\/127\.0\.0\.1:6444"/);
    const count = (text: string) => text.match(/^kind: /gm)?.length;
    assert.equal(count(made), count(readFileSync(join(FOLDER, 'weft.yaml'), 'utf8')));
    await must(['apply', '--dry-run=server', '--validate=strict', '-k', overlay]);
  });

  test('an agent may set, change and remove its own annotations', async () => {
    for (const value of ['a', 'b', null]) await allowed(annotate('weft.network/public-key', value));
    await allowed(annotate('weft.network/endpoints', '[]'));
  });

  test('an agent may not touch another Node', () =>
    denied(/only the Node that its pod runs on/, 'node2', annotate('weft.network/public-key', 'x')));

  test('an agent may not touch other annotations, the user’s with our prefix among them', async () => {
    await must(['annotate', 'node', 'node1', 'weft.network/relay=false', 'mine=1']);
    for (const name of ['other', 'weft.network/force-endpoint'])
      await denied(/only the annotations/, 'node1', annotate(name, 'x'));
    for (const [name, value] of [
      ['weft.network/relay', 'true'],
      ['mine', null],
    ] as const)
      await denied(/only the annotations/, 'node1', annotate(name, value));
  });

  test('an agent may not touch anything else of its Node', async () => {
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'gone', uid: '1' };
    for (const body of [
      { metadata: { labels: { 'topology.kubernetes.io/region': 'x' } } },
      { metadata: { finalizers: ['example.com/x'] } },
      { metadata: { ownerReferences: [owner] } },
      { spec: { unschedulable: true } },
      { spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } },
    ])
      await denied(/nothing of a Node but its annotations/, 'node1', body);
  });

  test('an agent may clear the condition NetworkUnavailable of its Node, and touch nothing else of a status', async () => {
    const condition = (type: string, status: string) => ({
      type,
      status,
      reason: 'Test',
      message: 'as a cloud has it',
      lastHeartbeatTime: '2026-01-01T00:00:00Z',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    });
    const conditions = async (name: string): Promise<readonly string[]> =>
      (
        await must([
          'get',
          'node',
          name,
          '-o',
          'jsonpath={range .status.conditions[*]}{.type}={.status} {end}',
        ])
      )
        .split(' ')
        .filter(Boolean);
    const set = (name: string, ...list: readonly object[]) =>
      must([
        'patch',
        'node',
        name,
        '--subresource=status',
        '--type=merge',
        `--patch=${JSON.stringify({ status: { conditions: list } })}`,
      ]);
    for (const name of ['node1', 'node2'])
      await set(name, condition('Ready', 'True'), condition('NetworkUnavailable', 'True'));
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(api.url, token)));
    const client = await openClient({ kubeconfig });
    const send = (name: string, body: object, strategic = true) =>
      client.patch(`/api/v1/nodes/${name}/status`, body, { strategic }).then(
        () => 'allowed',
        error => String(error),
      );
    const ours = clearing(Date.now());
    const [cleared = {}] = (ours as { status: { conditions: object[] } }).status.conditions;
    for (const [words, name, body] of [
      [/only the Node that its pod runs on/, 'node2', ours],
      [
        /may only clear the condition/,
        'node1',
        { status: { conditions: [condition('NetworkUnavailable', 'Unknown')] } },
      ],
      [
        /nothing of a Node’s status but/,
        'node1',
        { status: { conditions: [cleared, condition('Ready', 'False')] } },
      ],
      [
        /nothing of a Node’s status but/,
        'node1',
        { status: { conditions: [cleared, condition('Mine', 'True')] } },
      ],
      [
        /nothing of a Node’s status but/,
        'node1',
        { status: { addresses: [{ type: 'InternalIP', address: '192.0.2.66' }] } },
      ],
      [/nothing of a Node’s status but/, 'node1', { status: { capacity: { pods: '1' } } }],
      [/by way of its status/, 'node1', { metadata: { labels: { a: 'b' } }, ...ours }],
      [
        /by way of its status/,
        'node1',
        { metadata: { annotations: { 'weft.network/public-key': 'x' } }, ...ours },
      ],
    ] as const)
      assert.match(await send(name, body), words, JSON.stringify(body));
    assert.match(
      await send('node1', { status: { conditions: [condition('Ready', 'True')] } }, false),
      /may only clear/,
      'nor remove it',
    );
    assert.deepEqual(await conditions('node1'), ['Ready=True', 'NetworkUnavailable=True']);
    assert.equal(await send('node1', ours), 'allowed');
    assert.deepEqual(await conditions('node1'), ['Ready=True', 'NetworkUnavailable=False']);
    assert.deepEqual(await conditions('node2'), ['Ready=True', 'NetworkUnavailable=True']);
    await set('node1', condition('Ready', 'True'));
    assert.match(await send('node1', ours), /where somebody has set it/, 'nor add it');
    client.close();
  });

  test('an agent may not delete a Node or read a Secret', async () => {
    for (const question of ['get nodes --subresource=status', 'delete nodes', 'get secrets']) {
      const { code, stdout } = await as(token, 'auth', 'can-i', ...question.split(' '));
      assert.deepEqual([question, code, stdout], [question, 1, 'no\n']);
    }
    assert.equal((await as(token, 'auth', 'can-i', 'patch', 'nodes')).stdout, 'yes\n');
  });

  test('a token of the account that no pod holds is worth nothing', async () => {
    const loose = (await must(['-n', 'weft', 'create', 'token', 'weft'])).trim();
    const { code, stderr } = await patch(loose, 'node1', annotate('weft.network/public-key', 'x'));
    assert.notEqual(code, 0);
    assert.match(stderr, /only the Node that its pod runs on/);
  });

  test('others are not held by the policy', async () => {
    await must(['label', 'node', 'node2', 'a=b']);
  });
});
