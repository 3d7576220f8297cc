/** The sentence of the Event about peers that nobody has reached for long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openUnreached } from '../../agent/unreached.ts';
import type { PeerStatus } from '../../mesh/status.ts';

const peer = (node: string, state: string, reason = `no answer from ${node}`): PeerStatus =>
  ({ node, state, reason }) as unknown as PeerStatus;

test('one peer: its reason; the same sentence while it lasts, whatever durations its reason has', () => {
  const unreached = openUnreached();
  assert.equal(unreached([peer('a', 'established'), peer('b', 'retrying')]), undefined);
  const first = unreached([peer('a', 'established'), peer('b', 'failed', 'no answer for 5 min')]);
  assert.equal(first, 'b cannot be reached: no answer for 5 min');
  assert.equal(unreached([peer('b', 'failed', 'no answer for 9 min')]), first);
  assert.equal(unreached([peer('b', 'established')]), undefined);
});

test('many peers: one sentence that names the first ten', () => {
  const peers = Array.from({ length: 12 }, (_, n) => peer(`n${n}`, 'failed'));
  assert.equal(
    openUnreached()([...peers, peer('z', 'established')]),
    '12 of 13 nodes cannot be reached: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more; n0: no answer from n0',
  );
});
