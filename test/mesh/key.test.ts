import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { derivePublicKey, generateKey, parsePrivateKey, parsePublicKey } from '../../mesh/key.ts';

/** node:crypto wants PKCS #8: this prefix (RFC 8410) and the 32 bytes. */
function byCrypto(privateKey: string): string {
  const der = Buffer.concat([
    Buffer.from('302e020100300506032b656e04220420', 'hex'),
    Buffer.from(privateKey, 'base64'),
  ]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64');
}

const wg = (argument: string, input = '') => spawnSync('wg', [argument], { input, encoding: 'utf8' });
const withoutWg = wg('--version').error ? 'the program wg is not installed' : false;

const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('the public key is the one that node:crypto derives, for any random bytes', () => {
  fc.assert(
    fc.property(bytes, random => {
      const pair = generateKey(() => random);
      assert.equal(pair.publicKey, byCrypto(pair.privateKey));
      assert.equal(derivePublicKey(pair.privateKey), pair.publicKey);
      assert.deepEqual(parsePrivateKey(pair.privateKey), { ok: true, value: pair.privateKey });
      assert.deepEqual(parsePublicKey(pair.publicKey), { ok: true, value: pair.publicKey });
    }),
    { numRuns: 50 },
  );
});

test('wg pubkey says the same', { skip: withoutWg }, () => {
  for (let n = 0; n < 5; n += 1) {
    const pair = generateKey();
    assert.equal(wg('pubkey', `${pair.privateKey}\n`).stdout.trim(), pair.publicKey);
  }
});

test('what wg genkey makes is taken, with its public key', { skip: withoutWg }, () => {
  const text = wg('genkey').stdout.trim();
  const key = parsePrivateKey(text);
  assert.ok(key.ok);
  assert.equal(derivePublicKey(key.value), wg('pubkey', text).stdout.trim());
});

test('two keys are never the same', () => {
  assert.notEqual(generateKey().privateKey, generateKey().privateKey);
});

test('any other text is refused, and nothing throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String({ minLength: 40, maxLength: 48 })), text => {
      const key = parsePublicKey(text);
      const canonical =
        Buffer.from(text, 'base64').toString('base64') === text && Buffer.from(text, 'base64').length === 32;
      assert.equal(key.ok, canonical && !/^A+=$/.test(text));
    }),
  );
  const zero = Buffer.alloc(32).toString('base64');
  assert.equal(parsePublicKey(zero).ok, false);
  assert.equal(parsePrivateKey(zero).ok, false);
  assert.equal(parsePublicKey(`${generateKey().publicKey}\n`).ok, false);
});
