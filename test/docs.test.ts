/** What the pages name is there: files, npm scripts, verbs of the command, annotations. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { verbNames } from '../command/verbs.ts';
import { parseConfig } from '../config.ts';
import { annotations } from '../discovery/annotations.ts';

const ROOT = join(import.meta.dirname, '..');
const pages = globSync('**/*.md', {
  cwd: ROOT,
  exclude: name => name === 'node_modules' || name === 'dist',
}).sort();
const scripts: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
).scripts;

const all = (text: string, pattern: RegExp): readonly string[] =>
  Array.from(text.matchAll(pattern), ([, found]) => found as string);

/** As the pages' readers see them: `Are there any?` is `#are-there-any`. */
const anchors = (text: string): ReadonlySet<string> =>
  new Set(
    all(text, /^#+ (.*)$/gm).map(title =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );

function brokenLink(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const file = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path);
  if (!existsSync(file)) return true;
  return anchor !== undefined && !anchors(readFileSync(file, 'utf8')).has(anchor);
}

/** Not of `weft VERB` but of the sentence around it. */
const AGENT_WORDS = ['agent'];

const KNOWN_ANNOTATIONS = Object.values(annotations).map(a => a.name);

describe('pages', () => {
  for (const page of pages)
    test(page, () => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const links = all(text, /\]\(([^)\s]+)\)/g).filter(link => !/^[a-z]+:/.test(link));
      assert.deepEqual(
        links.filter(link => brokenLink(page, link)),
        [],
        'links that lead nowhere',
      );
      const runs = all(text, /npm run ([a-z]+)/g).filter(name => !(name in scripts));
      assert.deepEqual(runs, [], 'npm scripts that are not there');
      const code = [...all(text, /`([^`\n]+)`/g), ...all(text, /^ {4}(.*)$/gm)].join('\n');
      const verbs = all(code, /(?:^|kubectl |-- )weft ([a-z]+(?:-[a-z]+)*)(?=$|[ \n])/gm);
      const unknown = verbs.filter(verb => !verbNames.includes(verb) && !AGENT_WORDS.includes(verb));
      assert.deepEqual(unknown, [], 'verbs that weft does not have');
      const named = all(text, /(weft\.network\/[a-z][a-z-]*)/g).filter(name => name !== 'weft.network/weft');
      assert.deepEqual(
        named.filter(name => !KNOWN_ANNOTATIONS.includes(name)),
        [],
        'annotations that weft does not know',
      );
    });

  test('there are some', () => assert.ok(pages.length > 10));
});

describe('settings', () => {
  test('every error is said at once, by the setting’s name', () => {
    const wrong = parseConfig({
      listenPort: 0,
      clusterCidrs: ['x'],
      nothing: 1,
      masquerade: 'no',
      cniBinDir: 'a\nb',
    });
    assert.equal(wrong.ok, false);
    const said = wrong.ok ? '' : wrong.error;
    for (const name of ['listenPort', 'clusterCidrs', 'nothing', 'masquerade', 'cniBinDir'])
      assert.match(said, new RegExp(`^${name}: `, 'm'));
    assert.equal(said.split('\n').length, 5);
  });

  test('what is no object is said with an example', () => {
    const wrong = parseConfig([]);
    assert.ok(!wrong.ok && wrong.error.includes('{"clusterCidrs": ["10.42.0.0/16"]}'));
  });
});
