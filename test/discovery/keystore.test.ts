import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  KEY_FILE,
  type KeyOwner,
  loadKey,
  prepareKey,
  renewKey,
  takeNextKey,
} from '../../discovery/keystore.ts';
import { derivePublicKey } from '../../mesh/key.ts';
import { temporaryFolder } from './helpers.ts';

function setUp(t: TestContext) {
  const folder = temporaryFolder();
  t.after(folder.remove);
  const owner: KeyOwner = { dir: join(folder.path, 'state'), nodeName: 'a', machineId: 'm1' };
  return { owner, file: join(owner.dir, KEY_FILE) };
}

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

test('made once, with the reason, and the same ever after', t => {
  const { owner, file } = setUp(t);
  const first = loadKey(owner);
  assert.equal(first.made, 'this node had no key yet');
  assert.equal(first.publicKey, derivePublicKey(first.privateKey));
  assert.deepEqual(loadKey(owner), { publicKey: first.publicKey, privateKey: first.privateKey });
  assert.equal(mode(file), '600');
  assert.equal(mode(owner.dir), '700');
  assert.deepEqual(readdirSync(owner.dir), [KEY_FILE]);
});

test('rights that are too wide are taken back', t => {
  const { owner, file } = setUp(t);
  mkdirSync(owner.dir, { mode: 0o755 });
  loadKey(owner);
  chmodSync(file, 0o644);
  chmodSync(owner.dir, 0o755);
  loadKey(owner);
  assert.equal(mode(file), '600');
  assert.equal(mode(owner.dir), '700');
});

test('a remnant of a crash while writing does no harm', t => {
  const { owner } = setUp(t);
  mkdirSync(owner.dir);
  writeFileSync(join(owner.dir, `${KEY_FILE}.tmp`), '{"priv', { mode: 0o644 });
  const made = loadKey(owner);
  assert.equal(loadKey(owner).publicKey, made.publicKey);
  assert.deepEqual(readdirSync(owner.dir), [KEY_FILE]);
});

test('a damaged file is an error that says what to do, and is never touched', t => {
  const { owner, file } = setUp(t);
  loadKey(owner);
  const good = readFileSync(file, 'utf8');
  const other = loadKey({ ...owner, dir: `${owner.dir}2` });
  const damages: readonly (readonly [string, RegExp])[] = [
    ['', /it is empty/],
    [good.slice(0, 40), /it is not a JSON object/],
    ['null', /it is not a JSON object/],
    ['{}', /it lacks privateKey/],
    [
      good.replace(/"privateKey": "[^"]*"/, '"privateKey": "short"'),
      /its privateKey is not a WireGuard private key/,
    ],
    [good.replace(/"publicKey": "[^"]*"/, `"publicKey": "${other.publicKey}"`), /publicKey does not belong/],
    ['\0'.repeat(200), /it is not a JSON object/],
  ];
  for (const [text, reason] of damages) {
    writeFileSync(file, text);
    assert.throws(
      () => loadKey(owner),
      (error: Error) => {
        assert.equal(error.name, 'KeyFileError');
        assert.match(error.message, reason);
        assert.ok(error.message.includes(file));
        assert.match(error.message, /Put it back from a backup, or remove it/);
        return true;
      },
    );
    assert.equal(readFileSync(file, 'utf8'), text);
    assert.deepEqual(readdirSync(owner.dir), [KEY_FILE]);
  }
});

test('a cloned disk: another Node name or machine-id gets a new key, the old one is kept aside', t => {
  const { owner } = setUp(t);
  const first = loadKey(owner);
  const second = loadKey({ ...owner, nodeName: 'b' });
  assert.notEqual(second.publicKey, first.publicKey);
  assert.match(second.made ?? '', /made for Node a, and this is Node b/);
  const third = loadKey({ ...owner, nodeName: 'b', machineId: 'm2\n' });
  assert.match(third.made ?? '', /another machine-id/);
  assert.deepEqual(readdirSync(owner.dir).sort(), [KEY_FILE, `${KEY_FILE}.foreign`, `${KEY_FILE}.foreign.2`]);
  const kept = JSON.parse(readFileSync(join(owner.dir, `${KEY_FILE}.foreign`), 'utf8')) as {
    privateKey: string;
  };
  assert.equal(kept.privateKey, first.privateKey);
  assert.equal(loadKey({ ...owner, nodeName: 'b', machineId: 'm2' }).publicKey, third.publicKey);
});

test('a host without machine-id keeps its key', t => {
  const { owner } = setUp(t);
  const first = loadKey({ ...owner, machineId: undefined });
  assert.equal(loadKey(owner).publicKey, first.publicKey);
  assert.equal(loadKey({ ...owner, machineId: '' }).made, undefined);
});

test('renewKey replaces ours and keeps the old one aside', t => {
  const { owner } = setUp(t);
  const first = loadKey(owner);
  const second = renewKey(owner, 'the older Node b holds it');
  assert.equal(second.made, 'the older Node b holds it');
  assert.notEqual(second.publicKey, first.publicKey);
  assert.equal(loadKey(owner).publicKey, second.publicKey);
  assert.deepEqual(readdirSync(owner.dir).sort(), [KEY_FILE, `${KEY_FILE}.refused`]);
});

test('the next key lies beside ours until it takes its place, and nothing of the old one is left', t => {
  const { owner, file } = setUp(t);
  const first = loadKey(owner);
  const both = prepareKey(owner, first, 'token');
  assert.deepEqual(loadKey(owner), both);
  assert.equal(both.privateKey, first.privateKey);
  assert.equal(mode(file), '600');
  const second = takeNextKey(owner, both);
  assert.equal(second.publicKey, both.next?.publicKey);
  assert.deepEqual(loadKey(owner), { ...second, rotated: 'token' });
  for (const name of readdirSync(owner.dir))
    assert.ok(!readFileSync(join(owner.dir, name), 'utf8').includes(first.privateKey), name);
  assert.deepEqual(readdirSync(owner.dir), [KEY_FILE]);
  // Asked for by a socket, without a token: the last one is still remembered.
  const third = takeNextKey(owner, prepareKey(owner, second, undefined));
  assert.equal(third.rotated, 'token');
  assert.equal(loadKey(owner).publicKey, third.publicKey);
});

test('a damaged next key is an error, too', t => {
  const { owner, file } = setUp(t);
  prepareKey(owner, loadKey(owner), undefined);
  const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  for (const next of [7, {}, { ...(json.next as object), publicKey: json.publicKey }]) {
    writeFileSync(file, JSON.stringify({ ...json, next }));
    assert.throws(() => loadKey(owner), /damaged: (its|of its) next/);
  }
});
