import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isObject } from './object.ts';
import { mergePatch } from './patch.ts';

test('the examples of RFC 7386, appendix A', () => {
  const rows: readonly (readonly [target: unknown, patch: unknown, result: unknown])[] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of rows) assert.deepEqual(mergePatch(target, patch), result);
});

const json = fc.jsonValue({ maxDepth: 4 });

const withoutNulls = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value)
          .filter(([, inner]) => inner !== null)
          .map(([key, inner]) => [key, withoutNulls(inner)]),
      )
    : value;

const same = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)]);
};

/** The patch that makes `b` of `a`: the other way round. `b` has no null in its objects. */
function difference(a: unknown, b: unknown): unknown {
  if (!isObject(a) || !isObject(b)) return b;
  const changed = Object.entries(b)
    .filter(([key, value]) => !Object.hasOwn(a, key) || !same(a[key], value))
    .map(([key, value]) => [key, Object.hasOwn(a, key) ? difference(a[key], value) : value]);
  const removed = Object.keys(a)
    .filter(key => !Object.hasOwn(b, key))
    .map(key => [key, null]);
  return Object.fromEntries([...changed, ...removed]);
}

test('a patch made from two values makes the second of the first', () => {
  fc.assert(
    fc.property(json, json.map(withoutNulls), (a, b) => {
      assert.ok(same(mergePatch(a, difference(a, b)), b));
    }),
  );
});

test('twice is once, nothing is changed in place, an empty patch changes nothing', () => {
  fc.assert(
    fc.property(json, json, (target, patch) => {
      const before = JSON.stringify([target, patch]);
      const once = mergePatch(target, patch);
      assert.ok(same(mergePatch(once, patch), once));
      assert.equal(JSON.stringify([target, patch]), before);
      if (isObject(target)) assert.ok(same(mergePatch(target, {}), target));
    }),
  );
});

test('a key called __proto__ is a key', () => {
  const result = mergePatch({ a: 1 }, JSON.parse('{"__proto__":{"b":1}}'));
  assert.equal(JSON.stringify(result), '{"a":1,"__proto__":{"b":1}}');
  assert.equal(({} as { b?: unknown }).b, undefined);
});
