/** Words that every room speaks. Branded strings are made only by the parsers in `ip.ts` and `discovery/`. */

declare const brand: unique symbol;
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Canonical address without prefix length: `10.42.0.1`, `fd42::1` (RFC 5952). */
export type Ip = Brand<string, 'Ip'>;

/** Canonical network, host bits zero: `10.42.0.0/24`, `fd42::/64`. */
export type Cidr = Brand<string, 'Cidr'>;

/** Base64 of 32 bytes, as `wg` prints it. */
export type PublicKey = Brand<string, 'PublicKey'>;

/** `203.0.113.7:51820` or `[2001:db8::1]:51820`. */
export type Endpoint = Brand<string, 'Endpoint'>;

/** A value or the reason why there is none, in words that a user can act on. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: string };
