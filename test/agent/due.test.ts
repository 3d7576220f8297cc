/** Whoever is due first comes first, whatever the order of what is put in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openDueQueue } from '../../agent/due.ts';

test('all that was put in comes out in the order of time', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 50 })), fc.array(fc.nat({ max: 50 })), (before, after) => {
      const queue = openDueQueue();
      const rest = [...before].sort((a, b) => a - b);
      for (const at of before) queue.put(`n${at}`, at);
      for (const at of after) {
        assert.equal(queue.first()?.at, rest[0]);
        queue.drop();
        rest.shift();
        queue.put(`n${at}`, at);
        rest.push(at);
        rest.sort((a, b) => a - b);
      }
      for (const at of rest) {
        assert.deepEqual(queue.first(), { name: `n${at}`, at });
        queue.drop();
      }
      assert.equal(queue.first(), undefined);
      queue.drop();
    }),
  );
});
