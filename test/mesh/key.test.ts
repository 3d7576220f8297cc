import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  derivePublicKey,
  generateKey,
  type PrivateKey,
  parsePrivateKey,
  parsePublicKey,
} from '../../mesh/key.ts';

const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** The public key by node:crypto, from the raw 32 bytes. */
function byNode(privateKey: PrivateKey): string {
  const der = Buffer.concat([PKCS8_X25519, Buffer.from(privateKey, 'base64')]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return (key.export({ format: 'der', type: 'spki' }) as Buffer).subarray(-32).toString('base64');
}

const wg = (verb: string, input = ''): string =>
  spawnSync('wg', [verb], { input, encoding: 'utf8' }).stdout.trim();
const noWg = spawnSync('wg', ['--version']).error === undefined ? false : 'the program wg is not installed';

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });

suite('keys', () => {
  test('agree with node:crypto, whatever the random bytes', () => {
    fc.assert(
      fc.property(seeds, seed => {
        const { privateKey, publicKey } = generateKey(() => seed);
        assert.equal(publicKey, byNode(privateKey));
        assert.deepEqual(parsePrivateKey(privateKey), { ok: true, value: privateKey });
        assert.deepEqual(parsePublicKey(publicKey), { ok: true, value: publicKey });
      }),
      { numRuns: 50 },
    );
  });

  test('agree with wg pubkey and wg genkey', { skip: noWg }, () => {
    for (let n = 0; n < 5; n += 1) {
      const own = generateKey();
      assert.equal(own.publicKey, wg('pubkey', own.privateKey));
      const theirs = parsePrivateKey(wg('genkey'));
      assert.ok(theirs.ok);
      assert.equal(derivePublicKey(theirs.value), wg('pubkey', theirs.value));
    }
  });

  test('two new ones differ and are clamped', () => {
    const [a, b] = [generateKey(), generateKey()];
    assert.notEqual(a.privateKey, b.privateKey);
    const bytes = Buffer.from(a.privateKey, 'base64');
    assert.equal((bytes[0] as number) & 7, 0);
    assert.equal((bytes[31] as number) & 192, 64);
  });

  test('what is none is refused in words', () => {
    const bad = [
      '',
      'x',
      'A'.repeat(44),
      `${'A'.repeat(43)}=`,
      `${'A'.repeat(42)}B=`,
      ` ${'A'.repeat(42)}E=`,
      `${'A'.repeat(42)}E=\n`,
    ];
    for (const text of bad) {
      const key = parsePublicKey(text);
      assert.ok(!key.ok && /key/.test(key.error), JSON.stringify(text));
    }
    const unclamped = Buffer.alloc(32, 255).toString('base64');
    assert.ok(parsePublicKey(unclamped).ok);
    assert.ok(!parsePrivateKey(unclamped).ok);
  });

  test('no text is read as a key that does not print itself', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          seeds.map(s => Buffer.from(s).toString('base64')),
        ),
        text => {
          const key = parsePublicKey(text);
          if (key.ok) assert.equal(Buffer.from(key.value, 'base64').toString('base64'), text);
        },
      ),
    );
  });
});
