/** Why an agent cannot be asked, from its pod alone: its own last words are in there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byNode, type Pod } from '../../command/pods.ts';
import { EXIT } from '../../command/types.ts';
import { agents, said } from './sample.ts';

const pod = (name: string, nodeName: string, status: Pod['status']): Pod => ({
  metadata: { name },
  spec: { nodeName },
  ...(status && { status }),
});

const absent = (status: Pod['status']): string | undefined =>
  byNode([pod('weft-x', 'n1', status)])[0]?.absent;

test('an agent that ends at its start is told with what it said', () => {
  const message = 'weft: the configuration has errors:\nmtu: must be 1280 to 65535\n';
  const crashed = { terminated: { reason: 'Error', exitCode: 1, message } };
  assert.equal(
    absent({
      containerStatuses: [
        { state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s' } }, lastState: crashed },
      ],
    }),
    'its pod weft-x is not running (CrashLoopBackOff): weft: the configuration has errors: mtu: must be 1280 to 65535. See kubectl -n weft describe pod weft-x',
  );
  assert.match(
    absent({ containerStatuses: [{ state: crashed }] }) ?? '',
    /\(Error\): weft: the configuration/,
  );
});

test('an image that is missing, a pod that waits, and long last words', () => {
  const waiting = { reason: 'ErrImageNeverPull', message: 'image is not present' };
  assert.match(
    absent({ containerStatuses: [{ state: { waiting } }] }) ?? '',
    /\(ErrImageNeverPull\): image is not present/,
  );
  assert.match(
    absent({ phase: 'Pending', message: 'node had no room' }) ?? '',
    /\(Pending\): node had no room/,
  );
  assert.match(absent(undefined) ?? '', /\(unknown\)\. See/);
  const message = 'x'.repeat(5_000);
  assert.ok((absent({ containerStatuses: [{ state: { terminated: { message } } }] }) ?? '').length < 800);
});

test('of two pods on a node the one that runs is asked', () => {
  const running = { containerStatuses: [{ state: { running: {} } }] };
  const refs = byNode([
    pod('old', 'n2', { phase: 'Failed' }),
    pod('new', 'n2', running),
    pod('a', 'n1', running),
  ]);
  assert.deepEqual(
    refs.map(r => [r.node, r.pod, r.absent]),
    [
      ['n1', 'a', undefined],
      ['n2', 'new', undefined],
    ],
  );
});

test('a node that others have as a peer, and that has no pod of an agent, is said', async () => {
  const lacking = {
    ...agents(),
    list: async () => (await agents().list()).filter(ref => !/3|4/.test(ref.node)),
  };
  const { out, code } = await said(['status'], { agents: async () => lacking });
  assert.equal(code, EXIT.trouble);
  assert.match(out, /3 nodes, 2 agents answer/);
  assert.match(out, /node3, agent: there is no weft pod on it: is the node up/);
  const one = await said(['status', '-n', 'node2'], { agents: async () => lacking });
  assert.doesNotMatch(one.out, /no weft pod/);
});
