/** Troubles that a test can order: how servers and networks fail in the field. */
export type Faults = {
  /** Every request is answered with this status. */
  readonly status?: number;
  /** Milliseconds before each answer. */
  readonly delayMs?: number;
  /** Connections are closed without an answer. */
  readonly close?: boolean;
  /** Requests are accepted and never answered. */
  readonly hang?: boolean;
  /** Lists are empty. */
  readonly emptyList?: boolean;
  /** Watches are answered with 410 at once. */
  readonly expireWatch?: boolean;
  /** Each watch event is cut in the middle of its line, and the connection closed. */
  readonly truncate?: boolean;
};
