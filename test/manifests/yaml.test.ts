import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { renderYaml } from '../../manifests/yaml.ts';

const parse = (text: string): unknown[] =>
  parseAllDocuments(text).map(document => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as unknown;
  });

const value = fc.jsonValue({ maxDepth: 3 });
const object = fc.dictionary(fc.string(), value, { noNullPrototype: true });

describe('renderYaml', () => {
  test('what is rendered reads back as it was', () => {
    fc.assert(
      fc.property(fc.array(object, { minLength: 1, maxLength: 3 }), objects => {
        // JSON has no -0, and YAML does not keep it either.
        const wanted = JSON.parse(JSON.stringify(objects)) as object[];
        assert.deepEqual(
          parse(
            renderYaml(
              'head',
              wanted.map(o => ({ object: o })),
            ),
          ),
          wanted,
        );
      }),
    );
  });

  test('a comment changes nothing, whatever it says', () => {
    const plain = { kind: 'A', metadata: { list: [{ name: 'x' }, { name: 'y' }] } };
    fc.assert(
      fc.property(fc.string(), comment => {
        const comments = { '': comment, 'metadata.list': comment, 'metadata.list.1': comment };
        assert.deepEqual(parse(renderYaml('head', [{ object: plain, comments }])), [plain]);
      }),
    );
  });

  test('comments stand above what they speak of', () => {
    const comments = { '': 'whole', 'metadata.labels': 'two\nlines', 'metadata.list.1': 'item' };
    const metadata = { labels: { a: 'b' }, list: [{ name: 'x' }, { name: 'y' }], short: [1, 2] };
    assert.equal(
      renderYaml('head', [{ object: { kind: 'A', metadata }, comments }]),
      [
        '# head',
        '---',
        '# whole',
        'kind: A',
        'metadata:',
        '  # two',
        '  # lines',
        '  labels:',
        '    a: b',
        '  list:',
        '    - name: x',
        '    # item',
        '    - name: y',
        '  short: [1, 2]',
        '',
      ].join('\n'),
    );
  });

  test('a comment that has no place is an error', () => {
    const comments = { 'metadata.nothing': 'lost' };
    assert.throws(() => renderYaml('head', [{ object: { kind: 'A' }, comments }]), /metadata\.nothing/);
  });
});
