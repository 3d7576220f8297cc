/** X25519 keys as `wg` writes them: base64 of 32 bytes. Pure but for the randomness of a new key. */
import nacl from 'tweetnacl';
import type { Brand, PublicKey, Result } from '../types.ts';

/** Base64 of 32 clamped bytes. Goes to the key file and to `wg` by a pipe, never to a log. */
export type PrivateKey = Brand<string, 'PrivateKey'>;

export type KeyPair = { readonly publicKey: PublicKey; readonly privateKey: PrivateKey };

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const fail = (error: string): Result<never> => ({ ok: false, error });

const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** 43 base64 digits and one `=`; the last digit carries four bits, so that one text is one key. */
const KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

const ZERO = encode(new Uint8Array(32));

/** What curve25519 does to any private key before use; `wg genkey` stores keys so. */
function clamp(bytes: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(bytes);
  clamped[0] = (clamped[0] as number) & 248;
  clamped[31] = ((clamped[31] as number) & 127) | 64;
  return clamped;
}

/** `text` as `wg pubkey` prints it. The zero key is refused: to WireGuard it means "no key". */
export function parsePublicKey(text: string): Result<PublicKey> {
  if (!KEY.test(text))
    return fail('is not a WireGuard public key: base64 of 32 bytes, 44 characters, as `wg pubkey` prints it');
  if (text === ZERO) return fail('is the zero key, which is nobody’s');
  return ok(text as PublicKey);
}

/** `text` as `wg genkey` prints it, clamped. */
export function parsePrivateKey(text: string): Result<PrivateKey> {
  if (!KEY.test(text)) return fail('is not a WireGuard private key: base64 of 32 bytes, 44 characters');
  const bytes = Buffer.from(text, 'base64');
  return encode(clamp(bytes)) === text ? ok(text as PrivateKey) : fail('is not a clamped X25519 private key');
}

/** The public half, as `wg pubkey` computes it. */
export const derivePublicKey = (privateKey: PrivateKey): PublicKey =>
  encode(nacl.scalarMult.base(Buffer.from(privateKey, 'base64'))) as PublicKey;

/** A new pair. `random` gives n bytes; the default is the system's. */
export function generateKey(random: (n: number) => Uint8Array = n => nacl.randomBytes(n)): KeyPair {
  const privateKey = encode(clamp(random(32))) as PrivateKey;
  return { privateKey, publicKey: derivePublicKey(privateKey) };
}
