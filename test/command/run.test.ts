/** The command line: help from the table, words for what is not understood, exit codes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from '../../command/types.ts';
import { verbs } from '../../command/verbs.ts';
import { VERSION } from '../../version.ts';
import { said } from './sample.ts';

test('help names every verb, and each has a help of its own', async () => {
  const { code, out } = await said(['help']);
  assert.equal(code, EXIT.ok);
  for (const [name, load] of Object.entries(verbs)) {
    const verb = await load();
    assert.equal(verb.name, name);
    assert.ok(out.includes(`  ${name.padEnd(12)}  ${verb.summary}`), name);
    assert.doesNotMatch(verb.summary, /^[A-Z]|\.$/, name);
    const own = await said(['help', name], { name: 'kubectl weft' });
    assert.ok(own.out.includes(`kubectl weft ${name}`), own.out);
    assert.doesNotMatch(own.out, /\{weft\}/);
    assert.deepEqual(await said([name, '--help'], { name: 'kubectl weft' }), own);
  }
});

test('an unknown verb is answered with the one that was meant', async () => {
  const near = await said(['versoin']);
  assert.equal(near.code, EXIT.usage);
  assert.equal(near.err, 'weft: there is no verb versoin: did you mean version?\n');
  const far = await said(['constructor']);
  assert.equal(far.err, 'weft: there is no verb constructor: see weft help\n');
});

test('unknown options and outputs are usage errors with the way to the help', async () => {
  for (const args of [['--colour'], ['-o', 'yaml']]) {
    const { code, err } = await said(['version', ...args]);
    assert.equal(code, EXIT.usage);
    assert.match(err, /see weft help version\n$/);
  }
});

test('a verb without JSON says so, and does not print text to a program', async () => {
  for (const args of [
    ['completion', 'bash', '-o', 'json'],
    ['dashboard', '-o', 'json'],
  ]) {
    const { code, out } = await said(args);
    assert.deepEqual([code, out], [EXIT.usage, '']);
  }
});

test('figures that no agent takes are refused before anybody is asked', async () => {
  for (const args of [
    ['-c', 'many'],
    ['-c', '0'],
    ['--size', '1e9'],
  ]) {
    const { code, err } = await said(['ping', ...args]);
    assert.equal(code, EXIT.usage, args.join(' '));
    assert.match(err, /^weft ping: (count|size) must be/);
  }
});

test('settings that uninstall cannot read are named, before anything is touched', async () => {
  const { code, err } = await said(['uninstall', '--yes', '--config', '/nowhere/config.json']);
  assert.equal(code, EXIT.usage);
  assert.match(err, /the settings \/nowhere\/config\.json cannot be used: ENOENT/);
});

test('version, for people and programs', async () => {
  assert.equal((await said(['version'])).out, `weft ${VERSION}\n`);
  assert.deepEqual(JSON.parse((await said(['version', '-o', 'json'])).out), { version: VERSION });
});

test('that nobody can be asked is said, with an exit code of its own', async () => {
  const { code, err, out } = await said(['get', '/status']);
  assert.deepEqual(
    { code, err, out },
    { code: EXIT.unreachable, err: 'weft get: there is nobody\n', out: '' },
  );
});
