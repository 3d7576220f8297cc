import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COMMAND, ENTRYPOINT, ENVIRONMENT } from '../../image/contents.ts';
import { PACKAGES, SUITE } from '../../image/packages.ts';
import { VERSION } from '../../version.ts';

const text = readFileSync(join(import.meta.dirname, '../../image/Dockerfile'), 'utf8');
const last = text.slice(text.lastIndexOf('\nFROM '));

test('the Dockerfile installs the packages of the image, from the same release', () => {
  const [, list = ''] = /apt-get install -y --no-install-recommends \\\n([\s\S]+?)\n &&/.exec(last) ?? [];
  const packages = list.split('\\\n').map(line => line.replace('\\', '').trim());
  assert.deepEqual(packages, Object.keys(PACKAGES).sort());
  assert.ok(last.startsWith(`\nFROM node:\${NODE}-${SUITE}-slim\n`));
  assert.match(text, /^ARG NODE=24$/m);
});

test('the Dockerfile starts the agent where the image does, and names this version', () => {
  assert.ok(last.includes(`ENTRYPOINT [${ENTRYPOINT.map(word => JSON.stringify(word)).join(', ')}]`));
  assert.ok(last.includes(`\nENV MALLOC_ARENA_MAX=${ENVIRONMENT.MALLOC_ARENA_MAX}\n`));
  assert.ok(last.includes(`CMD [${COMMAND.map(word => JSON.stringify(word)).join(', ')}]`));
  assert.ok(text.includes(`-t weft.network/weft:${VERSION} `));
});
