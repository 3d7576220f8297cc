/** Changing the key: each decision, and a node and its peers whose every step may fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PUBLISH_MS, type RotationFacts, TURN_MS, turn } from '../../mesh/rotation.ts';

const quiet: RotationFacts = {
  asked: false,
  askedFor: 0,
  prepared: false,
  shown: 'old',
  shownAge: 100,
  connected: true,
  busyFor: 0,
  attempt: undefined,
  side: 'old',
  sideAge: 60_000,
  answered: true,
  silent: [],
};

const asked = { ...quiet, asked: true };
const prepared = { ...asked, prepared: true };
const trying = { ...prepared, side: 'next', sideAge: 500, attempt: { age: 500, count: 1 } } as const;
const late = {
  ...trying,
  sideAge: PUBLISH_MS,
  attempt: { age: PUBLISH_MS, count: 1 },
  shownAge: PUBLISH_MS + 100,
  answered: false,
} as const;

const table: readonly (readonly [string, RotationFacts, Readonly<Record<string, unknown>>])[] = [
  ['nobody asks', quiet, { kind: 'idle' }],
  ['asked', asked, { kind: 'prepare' }],
  ['the API server is away', { ...asked, connected: false }, { kind: 'wait', reread: false }],
  ['our Node was read long ago', { ...asked, shownAge: 60_000 }, { kind: 'wait', reread: true }],
  [
    'our Node was never read',
    { ...asked, shownAge: undefined, shown: 'unknown' },
    { kind: 'wait', reread: true },
  ],
  ['our Node was written often', { ...asked, busyFor: 700 }, { kind: 'wait', ms: 750 }],
  ['an agent is silent', { ...asked, silent: ['node3'] }, { kind: 'wait' }],
  ['it is silent for long', { ...asked, silent: ['node3'], askedFor: 300_000 }, { kind: 'prepare' }],
  ['under way', trying, { kind: 'try', begin: false, ms: PUBLISH_MS - 500 }],
  ['our Node shows it', { ...trying, shown: 'next' }, { kind: 'commit' }],
  ['shown after a restart', { ...prepared, shown: 'next' }, { kind: 'commit' }],
  ['never shown, after a restart', prepared, { kind: 'try', begin: true }],
  ['no answer in time', late, { kind: 'doubt', side: 'old' }],
  ['no answer, but a peer took it', { ...late, answered: true }, { kind: 'doubt', side: 'next' }],
  [
    'refused: our Node was read since',
    { ...late, attempt: { age: PUBLISH_MS + 500, count: 1 }, shownAge: 100 },
    { kind: 'wait', ms: 10_000 - PUBLISH_MS - 500 },
  ],
  ['rested', { ...prepared, attempt: { age: 10_000, count: 1 } }, { kind: 'try', begin: true }],
  [
    'refused again: it rests longer',
    { ...prepared, attempt: { age: 10_000, count: 3 } },
    { kind: 'wait', ms: 30_000 },
  ],
  [
    'restart in doubt: the device’s key stays',
    { ...prepared, shown: 'unknown', shownAge: undefined, side: 'next', sideAge: 100, answered: false },
    { kind: 'doubt', side: 'next', ms: TURN_MS - 100 },
  ],
  [
    'and gets answers',
    { ...prepared, shown: 'unknown', shownAge: undefined, side: 'next', sideAge: TURN_MS, answered: true },
    { kind: 'doubt', side: 'next' },
  ],
  [
    'or none',
    { ...prepared, shown: 'unknown', shownAge: undefined, side: 'next', sideAge: TURN_MS, answered: false },
    { kind: 'doubt', side: 'old' },
  ],
  [
    'nor does the old one',
    { ...prepared, shown: 'unknown', shownAge: undefined, side: 'old', sideAge: TURN_MS, answered: false },
    { kind: 'doubt', side: 'next' },
  ],
];

for (const [what, facts, wanted] of table)
  test(what, () => {
    assert.partialDeepStrictEqual(turn(facts), wanted);
  });
