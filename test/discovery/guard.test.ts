import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeList } from '../../discovery/guard.ts';

const set = (text: string): ReadonlySet<string> => new Set(text);

const rows: readonly (readonly [string, string, number | undefined, number, string])[] = [
  ['', '', undefined, 0, 'accept'],
  ['', 'abc', undefined, 0, 'accept'],
  ['abcd', 'abcd', undefined, 0, 'accept'],
  ['abcd', 'ab', undefined, 0, 'accept'],
  ['abcd', 'a', undefined, 0, 'hold 10000, 3 gone'],
  ['abcd', 'axyz', undefined, 0, 'hold 10000, 3 gone'],
  ['a', '', undefined, 0, 'hold 10000, 1 gone'],
  ['a', '', 1_000, 5_000, 'hold 6000, 1 gone'],
  ['a', '', 1_000, 11_000, 'accept'],
  ['ab', 'a', undefined, 0, 'accept'],
];

for (const [known, listed, heldSince, now, expected] of rows)
  test(`known ${known || 'none'}, listed ${listed || 'none'}, held ${heldSince ?? 'not'}, at ${now}: ${expected}`, () => {
    const verdict = judgeList(set(known), set(listed), heldSince, now, 10_000);
    assert.equal(verdict.kind === 'accept' ? 'accept' : `hold ${verdict.ms}, ${verdict.gone} gone`, expected);
  });
