/** The public half of a WireGuard key. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { PublicKey } from '../../types.ts';

/** X25519 in PKCS #8 before the 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_HEAD = 12;

/** Of 32 bytes. */
export function publicKeyOf(privateKey: Uint8Array): PublicKey {
  const der = Buffer.concat([PKCS8, privateKey]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD).toString('base64') as PublicKey;
}
