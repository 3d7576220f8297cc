import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { fields } from '../../config.ts';
import { chart } from '../../manifests/helm/chart.ts';
import { valueAt, withValue } from '../../manifests/helm/holes.ts';
import { holes, values } from '../../manifests/helm/values.ts';

const files = chart();
const text = Object.values(files).join('\n');

describe('the Helm chart’s text', () => {
  test('every hole is filled, and every value is used', () => {
    assert.doesNotMatch(text, /WEFT-HOLE/);
    const templates = Object.entries(files)
      .filter(([file]) => file.startsWith('templates/'))
      .map(([, made]) => made)
      .join('\n');
    for (const { name } of values)
      assert.ok(templates.includes(`.Values.${name}`), `${name} is used nowhere`);
    assert.ok(holes.length > 0);
  });

  test('values.yaml has each value with its default, and the schema knows it', () => {
    const schema = JSON.parse(files['values.schema.json'] ?? '');
    const defaults = parse(files['values.yaml'] ?? '');
    for (const value of values) {
      const path = value.name.split('.');
      assert.deepEqual(valueAt(defaults, path), value.default);
      const place = path.flatMap(key => ['properties', key]);
      assert.equal((valueAt(schema, place) as { description: string }).description, value.doc);
    }
  });

  test('the schema knows every setting of the agent and no other', () => {
    const schema = JSON.parse(files['values.schema.json'] ?? '').properties.config;
    assert.deepEqual(Object.keys(schema.properties), Object.keys(fields));
    assert.equal(schema.additionalProperties, false);
  });
});

describe('holes', () => {
  test('a value is put in its place and nothing else changes', () => {
    const object = { a: [{ b: 1 }, { b: 2 }], c: 3 };
    assert.deepEqual(withValue(object, ['a', 1, 'b'], 9), { a: [{ b: 1 }, { b: 9 }], c: 3 });
    assert.deepEqual(object.a[1], { b: 2 });
  });

  test('a path that leads nowhere is an error that names the key', () => {
    assert.throws(() => valueAt({ a: { b: 1 } }, ['a', 'x', 'y']), /nothing at a\.x\.y: there is no x/);
  });
});
