/** Troubles that a test can order: how servers and networks fail in the field. */
export type Faults = {
  /** Requests are answered with this status. */
  readonly status?: number;
  /** Header Retry-After of such an answer, in seconds. */
  readonly retryAfter?: number;
  /** Milliseconds before each answer. */
  readonly delayMs?: number;
  /** Connections are closed without an answer. */
  readonly close?: boolean;
  /** Requests are accepted and never answered. */
  readonly hang?: boolean;
  /** Lists are empty. */
  readonly emptyList?: boolean;
  /** Lists are of this version, long gone, as from a server that lags behind. */
  readonly staleList?: number;
  /** Watches are answered with 410 at once. */
  readonly expireWatch?: boolean;
  /** Watches are taken and stay silent, bookmarks too. */
  readonly silentWatch?: boolean;
  /** Each watch event is cut in the middle of its line, and the connection closed. */
  readonly truncate?: boolean;
  /** Each watch event is no JSON. */
  readonly garble?: boolean;
  /** Which requests the troubles above befall; all unless given. */
  readonly only?: { readonly method?: string; readonly path?: RegExp; readonly watch?: boolean };
};

type Asked = { readonly method: string; readonly path: string; readonly watch: boolean };

/** What of the troubles befalls a request. */
export function befalling(faults: Faults, { method, path, watch }: Asked): Faults {
  const { only } = faults;
  if (only === undefined) return faults;
  const meant =
    (only.method === undefined || only.method === method) &&
    (only.path === undefined || only.path.test(path)) &&
    (only.watch === undefined || only.watch === watch);
  return meant ? faults : {};
}
