import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldMatcher } from './fields.ts';
import type { KubeObject } from './object.ts';
import { EVENTS, NODES, PODS } from './resources.ts';
import { labelMatcher } from './selector.ts';
import { ApiFailure } from './status.ts';

const labelled = (labels: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n', uid: 'u', resourceVersion: '1', creationTimestamp: '', labels },
});

const key = fc.constantFrom('a', 'b', 'weft.network/c', 'in', 'notin');
const value = fc.constantFrom<string>('', '1', '2', 'x-y', 'in');
const labels = fc.dictionary(key, value);

type Requirement = { readonly text: string; readonly holds: (labels: Record<string, string>) => boolean };

/** What each form means, said once more in another way. */
const requirement: fc.Arbitrary<Requirement> = fc
  .tuple(
    key,
    fc.constantFrom<string>('=', '==', '!=', 'in', 'notin', '', '!'),
    fc.array(value, { minLength: 1, maxLength: 3 }),
  )
  .map(([k, operator, values]) => {
    const has = (l: Record<string, string>) => Object.hasOwn(l, k);
    const [first = ''] = values;
    switch (operator) {
      case '':
        return { text: k, holds: has };
      case '!':
        return { text: `!${k}`, holds: l => !has(l) };
      case 'in':
        return {
          text: `${k} in (${values.join(',')})`,
          holds: l => has(l) && values.includes(l[k] as string),
        };
      case 'notin':
        return {
          text: `${k} notin ( ${values.join(' , ')} )`,
          holds: l => !has(l) || !values.includes(l[k] as string),
        };
      case '!=':
        return { text: `${k}!=${first}`, holds: l => !has(l) || l[k] !== first };
      default:
        return { text: `${k} ${operator}${first}`, holds: l => has(l) && l[k] === first };
    }
  });

test('a selector holds where all its requirements hold', () => {
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), labels, (requirements, on) => {
      const matches = labelMatcher(requirements.map(r => r.text).join(','));
      assert.equal(
        matches(labelled(on)),
        requirements.every(r => r.holds(on)),
      );
    }),
    { numRuns: 500 },
  );
});

test('any text is a selector or a refusal that says why', () => {
  const symbols = fc.constantFrom(
    'a',
    'b',
    '=',
    '==',
    '!=',
    '!',
    '(',
    ')',
    ',',
    '<',
    '>',
    ' ',
    'in',
    'notin',
    '1',
    '$',
  );
  fc.assert(
    fc.property(fc.array(symbols, { maxLength: 12 }), words => {
      try {
        labelMatcher(words.join(''))(labelled({ a: '1' }));
      } catch (error) {
        assert.ok(error instanceof ApiFailure);
        assert.equal(error.status.code, 400);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('fields of objects', () => {
  const pod = { ...labelled({}), kind: 'Pod', spec: { nodeName: 'n,1', hostNetwork: true }, status: {} };
  const rows = [
    [PODS, 'spec.nodeName=n\\,1', true],
    [PODS, 'spec.nodeName!=n\\,1', false],
    [PODS, 'spec.hostNetwork=true,metadata.name=n', true],
    [PODS, 'status.podIP=', true],
    [NODES, 'spec.unschedulable=false', true],
    [EVENTS, 'involvedObject.name=x', false],
  ] as const;
  for (const [resource, selector, want] of rows)
    assert.equal(fieldMatcher(resource, selector)(pod), want, selector);
  for (const bad of ['constructor=1', 'toString', '=x', 'metadata.name===n'])
    assert.throws(() => fieldMatcher(NODES, bad), ApiFailure, bad);
});
