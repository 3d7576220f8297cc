import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { conflist, installBinary, installConflist, otherConfigs } from '../../cni/install.ts';
import { CONFLIST } from '../../constants.ts';
import { newLog } from './bed.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'weft-install-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  rmSync(`${dir}.source`, { force: true });
});

const read = (file: string): string => readFileSync(join(dir, file), 'utf8');

function binary(content: string): string {
  writeFileSync(`${dir}.source`, content);
  return `${dir}.source`;
}

function install(content: string) {
  const { log, lines } = newLog();
  installBinary({ source: binary(content), binDir: dir, log });
  return lines;
}

test('the binary is executable, also as loopback, and nothing else is left', () => {
  install('one');
  assert.deepEqual(readdirSync(dir).sort(), ['loopback', 'weft-cni']);
  for (const file of ['loopback', 'weft-cni']) {
    assert.equal(read(file), 'one');
    assert.equal(statSync(join(dir, file)).mode & 0o777, 0o755);
  }
});

test('again, nothing is written', () => {
  install('one');
  const before = statSync(join(dir, 'weft-cni'));
  assert.deepEqual(install('one'), []);
  const after = statSync(join(dir, 'weft-cni'));
  assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
});

test('a new binary comes by rename, and our loopback follows', () => {
  install('one');
  const before = statSync(join(dir, 'weft-cni')).ino;
  install('two');
  assert.deepEqual([read('weft-cni'), read('loopback')], ['two', 'two']);
  assert.notEqual(statSync(join(dir, 'weft-cni')).ino, before);
});

test('a loopback of others stays', () => {
  writeFileSync(join(dir, 'loopback'), 'theirs');
  install('one');
  install('two');
  assert.deepEqual([read('weft-cni'), read('loopback')], ['two', 'theirs']);
});

test('a removed or altered binary is put back', () => {
  install('one');
  rmSync(join(dir, 'weft-cni'));
  install('one');
  writeFileSync(join(dir, 'weft-cni'), 'altered');
  install('one');
  assert.equal(read('weft-cni'), 'one');
});

test('a directory that is not there, or is none, is an error with a cure', () => {
  const { log } = newLog();
  writeFileSync(join(dir, 'file'), '');
  for (const bad of [join(dir, 'none'), join(dir, 'file')]) {
    assert.throws(() => installBinary({ source: binary('x'), binDir: bad, log }), /cniBinDir/);
    assert.throws(() => installConflist({ confDir: bad, log }), /hostPath/);
  }
});

test('the conflist: its versions, and no more capabilities than there are', () => {
  const parsed = JSON.parse(conflist()) as Record<string, unknown>;
  assert.equal(parsed.cniVersion, '1.0.0');
  assert.deepEqual(parsed.cniVersions, ['0.3.1', '0.4.0', '1.0.0', '1.1.0']);
  assert.deepEqual(parsed.plugins, [
    { type: 'weft-cni', capabilities: { bandwidth: true, ips: true, mac: true, portMappings: true } },
  ]);
});

test('the conflist is written once, and again only when it differs', () => {
  const { log, lines } = newLog();
  installConflist({ confDir: dir, log });
  assert.equal(read(CONFLIST), conflist());
  const { mtimeMs, ino } = statSync(join(dir, CONFLIST));
  installConflist({ confDir: dir, log });
  assert.equal(statSync(join(dir, CONFLIST)).mtimeMs, mtimeMs);
  assert.equal(lines.length, 1);
  for (const other of ['{}', '', 'x'.repeat(5_000), '{"a":"ü"}']) {
    writeFileSync(join(dir, CONFLIST), other);
    installConflist({ confDir: dir, log });
    assert.equal(read(CONFLIST), conflist());
    assert.equal(statSync(join(dir, CONFLIST)).ino, ino);
  }
});

test('configurations of others stay; those that come before ours are named', () => {
  for (const file of ['05-cilium.conflist', '10-flannel.conflist', '87-podman.conflist', '00-readme.txt'])
    writeFileSync(join(dir, file), file);
  installConflist({ confDir: dir, log: newLog().log });
  assert.deepEqual(otherConfigs(dir), {
    earlier: ['05-cilium.conflist', '10-flannel.conflist'],
    later: ['87-podman.conflist'],
  });
  assert.equal(read('05-cilium.conflist'), '05-cilium.conflist');
});
