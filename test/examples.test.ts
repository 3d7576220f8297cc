/** The files of the examples that people copy. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../config.ts';
import { values } from '../manifests/helm/values.ts';

const ROOT = join(import.meta.dirname, '..');
const files = globSync('examples/*/values.yaml', { cwd: ROOT }).sort();

const leaves = (tree: Record<string, unknown>, before = ''): readonly string[] =>
  Object.entries(tree).flatMap(([key, value]) => {
    const name = `${before}${key}`;
    if (values.some(v => v.name === name)) return [name];
    return typeof value === 'object' && value !== null
      ? leaves(value as Record<string, unknown>, `${name}.`)
      : [name];
  });

describe('values of the examples', () => {
  for (const file of files)
    test(file, () => {
      const tree = parse(readFileSync(join(ROOT, file), 'utf8'));
      const config = parseConfig(tree.config);
      assert.ok(config.ok, config.ok ? '' : config.error);
      for (const name of leaves(tree))
        assert.ok(
          values.some(v => v.name === name),
          `the chart has no value ${name}`,
        );
    });

  test('there are some', () => assert.ok(files.length >= 3));
});
