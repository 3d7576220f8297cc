/** Selectors: printed so that equal meaning is equal text, and an index that never misses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addToIndex,
  candidates,
  EVERYTHING,
  type LabelIndex,
  matches,
  removeFromIndex,
  selectorOf,
} from '../../policy/select.ts';
import type { Labels, Requirement } from '../../policy/types.ts';

const VALUES = ['x', 'y', 'z', ''];
const requirement: fc.Arbitrary<Requirement> = fc
  .tuple(
    fc.constantFrom('in', 'notIn', 'exists', 'absent'),
    fc.constantFrom('app', 'tier'),
    fc.subarray(VALUES, { minLength: 1 }),
  )
  .map(([kind, label, values]) =>
    kind === 'in' || kind === 'notIn'
      ? { kind, label, values: new Set(values) }
      : { kind: kind as 'exists' | 'absent', label },
  );
const labels: fc.Arbitrary<Labels> = fc
  .dictionary(fc.constantFrom('app', 'tier', 'more'), fc.constantFrom(...VALUES))
  .map(all => new Map(Object.entries(all)));

test('order and repetition of requirements change neither text nor meaning', () =>
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), labels, (list, own) => {
      const one = selectorOf(list);
      const other = selectorOf([...list, ...list].reverse());
      assert.equal(one.text, other.text);
      assert.equal(matches(one, own), matches(other, own));
    }),
  ));

test('text tells selectors of different meaning apart', () => {
  const texts = [
    selectorOf([{ kind: 'in', label: 'a', values: new Set(['b', 'c']) }]),
    selectorOf([{ kind: 'in', label: 'a', values: new Set(['b","c']) }]),
    selectorOf([{ kind: 'notIn', label: 'a', values: new Set(['b', 'c']) }]),
    selectorOf([{ kind: 'exists', label: 'a' }]),
    EVERYTHING,
  ].map(({ text }) => text);
  assert.equal(new Set(texts).size, texts.length);
});

test('the index finds all that match, through additions and removals', () =>
  fc.assert(
    fc.property(fc.array(labels, { maxLength: 12 }), fc.array(requirement, { maxLength: 3 }), (all, list) => {
      const index: LabelIndex<Labels> = new Map();
      for (const one of all) addToIndex(index, one, one);
      const gone = all.filter((_, n) => n % 3 === 0);
      for (const one of gone) removeFromIndex(index, one, one);
      const left = all.filter(one => !gone.includes(one));
      const selector = selectorOf(list);
      const found = candidates(index, selector) ?? left;
      for (const one of left) if (matches(selector, one)) assert.ok(found.includes(one));
      for (const one of gone) assert.ok(!found.includes(one));
      for (const one of left) removeFromIndex(index, one, one);
      assert.equal(index.size, 0);
    }),
  ));
