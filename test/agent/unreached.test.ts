/** The sentence of the Event about peers that nobody has reached for long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openUnreached } from '../../agent/unreached.ts';
import type { PeerState } from '../../mesh/state.ts';

const peer = (node: string, state: PeerState) => ({ node, state });

test('one peer: its reason; the same sentence while it lasts, whatever durations its reason has', () => {
  const unreached = openUnreached();
  const never = (): never => assert.fail('asked for a reason that nobody needs');
  assert.equal(unreached([peer('a', 'established'), peer('b', 'retrying')], never), undefined);
  const first = unreached([peer('a', 'established'), peer('b', 'failed')], node => `${node} is silent`);
  assert.equal(first, 'b cannot be reached: b is silent');
  assert.equal(unreached([peer('b', 'failed')], never), first);
  assert.equal(unreached([peer('b', 'established')], never), undefined);
});

test('many peers: one sentence that names the first ten', () => {
  const peers = Array.from({ length: 12 }, (_, n) => peer(`n${n}`, 'failed'));
  assert.equal(
    openUnreached()([...peers, peer('z', 'established')], node => `no answer from ${node}`),
    '12 of 13 nodes cannot be reached: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more; n0: no answer from n0',
  );
});
