import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomes } from './e2e-report.ts';

const spec = (LeafNodeText: string, State: string, Message?: string) => ({
  LeafNodeType: 'It',
  LeafNodeText,
  ContainerHierarchyTexts: ['[sig-network] Services'],
  State,
  RunTime: 12_300_000_000,
  Failure: { Message },
});

test('a line for each test that was begun, and the sums; nothing of those that a filter left out', () => {
  const suite = { ...spec('', 'passed'), LeafNodeType: 'BeforeSuite', ContainerHierarchyTexts: null };
  const all = [
    suite,
    spec('left out', 'skipped'),
    spec('needs a cloud', 'skipped', 'Only for cloud providers\nand more'),
    spec('works', 'passed'),
    spec('does not', 'failed', 'timed out'),
  ];
  assert.deepEqual(outcomes(JSON.stringify([{ SpecReports: all }])), [
    'failed     12 s  [sig-network] Services does not: timed out',
    'passed     12 s  [sig-network] Services works',
    'skipped    12 s  [sig-network] Services needs a cloud: Only for cloud providers',
    '1 skipped, 1 passed, 1 failed',
  ]);
  assert.deepEqual(outcomes('[{"SpecReports":null}]'), ['no test has such a name']);
});
